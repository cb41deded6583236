"""Literals as bytes and as messages: there, back, and what a careless or hostile writer may send."""

import math
import subprocess
import sys

import msgpack
import pytest
from flyteidl.core import literals_pb2, types_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.api import literal_types as t
from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType, StructuredDatasetType
from flyte_nb.api.literals import Literal
from flyte_nb.wire.literal_bytes import (
    literal_from_bytes,
    literal_map_from_bytes,
    literal_map_to_bytes,
    literal_to_bytes,
)
from flyte_nb.wire.literals import (
    literal_from_idl,
    literal_map_from_idl,
    literal_map_to_idl,
    literal_to_idl,
)
from flyte_nb.wire.types import type_from_idl, type_to_idl

INT64 = st.integers(-(2**63), 2**63 - 1)
MICROS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=140)
NUMBERS = st.floats(allow_nan=False)

SCALARS = {
    v.INTEGER: INT64,
    v.FLOAT: NUMBERS,
    v.STRING: TEXT,
    v.BOOLEAN: st.booleans(),
    v.DATETIME: MICROS,
    v.DURATION: MICROS,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)

SIMPLE_NAMES = [
    t.NONE, t.INTEGER, t.FLOAT, t.STRING, t.BOOLEAN,
    t.DATETIME, t.DURATION, t.BINARY, t.ERROR, t.STRUCT,
]  # fmt: skip


def built(cls, *parts):
    """Instances of the NamedTuple `cls` from its first fields."""
    return st.tuples(
        *(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts)
    ).map(lambda values: cls(*values))


BLOBS = built(BlobType, TEXT, st.sampled_from([t.SINGLE, t.MULTIPART]))


def _datasets(inner):
    columns = st.lists(st.tuples(TEXT, inner), max_size=3).map(tuple)
    return built(StructuredDatasetType, columns, TEXT)


def _decorated(kind, values):
    structs = st.none() | st.dictionaries(TEXT, JSON, max_size=2)
    return built(LiteralType, kind, values, structs, structs, TEXT)


TYPES = st.recursive(
    _decorated(t.SIMPLE, st.sampled_from(SIMPLE_NAMES))
    | _decorated(t.BLOB, BLOBS)
    | _decorated(t.ENUM, st.lists(TEXT, max_size=3).map(tuple)),
    lambda inner: st.one_of(
        _decorated(t.COLLECTION, inner),
        _decorated(t.MAP, inner),
        _decorated(t.UNION, st.lists(inner, max_size=3).map(tuple)),
        _decorated(t.STRUCTURED_DATASET, _datasets(inner)),
        st.builds(
            lambda fields: LiteralType(t.SIMPLE, t.STRUCT, dataclass_type=fields),
            st.dictionaries(TEXT, inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=5,
)

PLAIN = st.one_of(
    *(built(Literal, kind, values) for kind, values in SCALARS.items()),
    st.just(v.NOTHING),
    built(Literal, v.STRUCT, JSON),
    built(Literal, v.GENERIC, st.dictionaries(TEXT, JSON, max_size=3)),
    built(
        Literal,
        v.BINARY,
        st.tuples(st.binary(), TEXT.filter(lambda tag: tag != "msgpack")),
    ),
    built(Literal, v.BLOB, st.tuples(TEXT, BLOBS)),
    built(
        Literal,
        v.STRUCTURED_DATASET,
        st.tuples(TEXT, _datasets(_decorated(t.SIMPLE, st.sampled_from(SIMPLE_NAMES)))),
    ),
    built(Literal, v.ERROR, st.tuples(TEXT, TEXT)),
    st.sampled_from(sorted(SCALARS)).flatmap(
        lambda kind: st.lists(SCALARS[kind], min_size=1, max_size=40).map(
            lambda items: Literal(v.COLUMN, (kind, items))
        )
    ),
)
HASHED = st.builds(lambda literal, digest: literal._replace(hash=digest), PLAIN, TEXT)
LITERALS = st.recursive(
    HASHED,
    lambda inner: st.one_of(
        built(Literal, v.COLLECTION, st.lists(inner, max_size=4)),
        built(Literal, v.MAP, st.dictionaries(TEXT, inner, max_size=4)),
        built(Literal, v.UNION, st.tuples(inner, TYPES)),
    ),
    max_leaves=6,
)


def canonical(literal: Literal) -> Literal:
    """A list of scalars of one kind without hashes is a column when it is read."""
    kind, value, digest = literal
    if kind == v.COLLECTION:
        items = [canonical(item) for item in value]
        kinds = {item.kind for item in items}
        if len(kinds) == 1 and kinds <= v.SCALAR_KINDS and not any(item.hash for item in items):
            return Literal(v.COLUMN, (items[0].kind, [item.value for item in items]), digest)
        return Literal(v.COLLECTION, items, digest)
    if kind == v.MAP:
        return Literal(v.MAP, {key: canonical(item) for key, item in value.items()}, digest)
    if kind == v.UNION:
        return Literal(v.UNION, (canonical(value[0]), value[1]), digest)
    return literal


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(LITERALS)
def test_every_literal_comes_back_from_bytes_and_from_a_message(literal):
    expected = canonical(literal)
    data = literal_to_bytes(literal)
    assert literal_from_bytes(data) == expected
    message = literal_to_idl(literal)
    assert literal_from_idl(message) == expected
    assert literals_pb2.Literal.FromString(data) == message


@settings(max_examples=200, deadline=None)
@given(TYPES)
def test_every_type_comes_back_from_a_message(type):
    assert type_from_idl(type_to_idl(type)) == type


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(SCALARS)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(SCALARS[kind], max_size=200))
    )
)
def test_a_column_has_the_bytes_that_protobuf_itself_writes(column):
    kind, values = column
    message = literals_pb2.Literal()
    message.collection.SetInParent()
    for value in values:
        primitive = message.collection.literals.add().scalar.primitive
        if kind == v.DATETIME:
            primitive.datetime.FromMicroseconds(value)
            primitive.datetime.SetInParent()
        elif kind == v.DURATION:
            primitive.duration.FromMicroseconds(value)
            primitive.duration.SetInParent()
        else:
            setattr(primitive, kind, value)
    assert literal_to_bytes(Literal(v.COLUMN, column)) == message.SerializeToString()
    back = literal_from_idl(message)
    assert back == (Literal(v.COLUMN, column) if values else Literal(v.COLLECTION, []))
    assert (
        [type(item) for item in back.value[1:][0] or ()] == [type(x) for x in values]
        if values
        else True
    )


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_literal_give_a_codec_error_or_what_protobuf_reads(data):
    try:
        literal = literal_from_bytes(data)
    except CodecError:
        return
    literal_to_bytes(literal)


@settings(max_examples=300, deadline=None)
@given(LITERALS, st.data())
def test_a_changed_byte_never_gives_an_exception_from_inside(literal, data):
    raw = bytearray(literal_to_bytes(literal))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        literal_from_bytes(bytes(raw))
    except CodecError:
        pass


def test_a_map_comes_back_in_order():
    literals = {"b": Literal(v.INTEGER, 1), "a": v.NOTHING}
    data = literal_map_to_bytes(literals)
    assert list(literal_map_from_bytes(data)) == ["b", "a"]
    assert literal_map_from_idl(literal_map_to_idl(literals)) == literals
    assert literals_pb2.LiteralMap.FromString(data) == literal_map_to_idl(literals)


def test_nan_and_minus_zero_survive():
    column = Literal(v.COLUMN, (v.FLOAT, [math.nan, -0.0, math.inf]))
    back = literal_from_idl(literal_to_idl(column)).value[1]
    assert math.isnan(back[0])
    assert math.copysign(1, back[1]) == -1
    assert back[2] == math.inf


def test_an_integer_beyond_64_bits_is_refused_with_its_place():
    with pytest.raises(CodecError, match=r"9223372036854775808 does not fit.*\.n\[1\]"):
        literal_map_to_bytes({"n": Literal(v.COLUMN, (v.INTEGER, [1, 2**63]))})


@pytest.mark.parametrize("kind", sorted(SCALARS))
def test_a_value_of_another_kind_is_refused_with_its_place(kind):
    for bad in (b"bytes", None, {}, "\ud800"):
        with pytest.raises(CodecError) as caught:
            literal_to_bytes(Literal(v.COLUMN, (kind, [bad])))
        assert caught.value.path == "$[0]"
        with pytest.raises(CodecError):
            literal_to_bytes(Literal(kind, bad))


def test_an_unknown_kind_is_refused():
    with pytest.raises(CodecError, match="'thing'"):
        literal_to_bytes(Literal("thing", 1))


def test_flytekits_msgpack_is_plain_data_and_other_msgpack_stays_bytes():
    message = literals_pb2.Literal()
    message.scalar.binary.tag = "msgpack"
    message.scalar.binary.value = msgpack.packb({1: [None, 2.5, "x"]})
    assert literal_from_idl(message) == Literal(v.STRUCT, {1: [None, 2.5, "x"]})
    for odd in (msgpack.packb(b"raw"), b"\xc1", b"", msgpack.packb({"a": msgpack.Timestamp(1)})):
        message.scalar.binary.value = odd
        assert literal_from_idl(message) == Literal(v.BINARY, (odd, "msgpack"))


def test_a_value_that_msgpack_cannot_hold_is_refused():
    for bad in (object(), 2**70):
        with pytest.raises(CodecError, match="msgpack"):
            literal_to_bytes(Literal(v.STRUCT, {"a": bad}))


def test_a_struct_that_json_cannot_hold_is_refused_with_its_path():
    with pytest.raises(CodecError) as caught:
        literal_to_bytes(Literal(v.GENERIC, {"a": [1, b"x"]}))
    assert caught.value.path == "$.a[1]"
    with pytest.raises(CodecError, match="text"):
        literal_to_bytes(Literal(v.GENERIC, {"a": 1, 2: 3}))
    with pytest.raises(CodecError, match="64-bit float"):
        literal_to_bytes(Literal(v.GENERIC, {"a": 10**400}))


def test_a_literal_that_is_stored_elsewhere_is_fetched_or_refused():
    message = literals_pb2.Literal(hash="h")
    message.offloaded_metadata.uri = "s3://bucket/key"
    stored = literal_to_bytes(Literal(v.INTEGER, 7))
    with pytest.raises(CodecError, match="s3://bucket/key"):
        literal_from_idl(message)
    assert literal_from_idl(message, {"s3://bucket/key": stored}.__getitem__) == Literal(
        v.INTEGER, 7, "h"
    )


def test_a_legacy_schema_is_read_as_a_dataset():
    message = literals_pb2.Literal()
    message.scalar.schema.uri = "s3://x"
    message.scalar.schema.type.columns.add(name="a", type=types_pb2.SchemaType.SchemaColumn.FLOAT)
    expected = StructuredDatasetType((("a", t.simple(t.FLOAT)),), "parquet")
    assert literal_from_idl(message) == Literal(v.STRUCTURED_DATASET, ("s3://x", expected))


def test_nanoseconds_are_cut_to_microseconds():
    message = literals_pb2.Literal()
    message.scalar.primitive.datetime.seconds = -1
    message.scalar.primitive.datetime.nanos = 999_999_999
    assert literal_from_idl(message) == Literal(v.DATETIME, -1)
    message.scalar.primitive.duration.nanos = -1_500
    assert literal_from_idl(message) == Literal(v.DURATION, -2)


@pytest.mark.parametrize(
    "empty",
    [
        literals_pb2.Literal(),
        literals_pb2.Literal(scalar=literals_pb2.Scalar()),
        literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive())),
        literals_pb2.Literal(
            scalar=literals_pb2.Scalar(
                union=literals_pb2.Union(
                    value=literals_pb2.Literal(
                        scalar=literals_pb2.Scalar(none_type=literals_pb2.Void())
                    )
                )
            )
        ),
    ],
)
def test_a_message_without_a_value_is_a_clear_error(empty):
    with pytest.raises(CodecError):
        literal_from_idl(empty)


def test_an_error_names_the_place_of_a_bad_item():
    message = literals_pb2.LiteralMap()
    message.literals["rows"].collection.literals.add().scalar.none_type.SetInParent()
    message.literals["rows"].collection.literals.add()
    with pytest.raises(CodecError) as caught:
        literal_map_from_idl(message)
    assert caught.value.path == "$.rows[1]"


def test_unknown_fields_of_a_newer_flyte_are_skipped():
    data = (
        literal_to_bytes(Literal(v.INTEGER, 5))
        + b"\xf8\x07\x01\xfa\x07\x03abc\xfd\x07abcd\xf9\x07abcdefgh"
    )
    assert literal_from_bytes(data) == Literal(v.INTEGER, 5)


def test_thousands_of_levels_are_refused_not_overflowed():
    literal = v.NOTHING
    for _ in range(60):
        literal = Literal(v.COLLECTION, [literal])
    with pytest.raises(CodecError, match="nested too deeply"):
        literal_to_idl(literal)
    data = literal_to_bytes(v.NOTHING)
    for _ in range(3000):
        data = literal_to_bytes(Literal(v.STRING, "")) and b"\x12" + _length(
            b"\x0a" + _length(data)
        )
    with pytest.raises(CodecError, match="nested too deeply"):
        literal_from_bytes(data)


def _length(data: bytes) -> bytes:
    from flyte_nb.wire.encoding import varint

    return varint(len(data)) + data


def test_scalars_and_lists_of_them_load_neither_protobuf_nor_msgpack():
    code = """
import sys
from flyte_nb.api import literals as v
from flyte_nb.wire import literal_bytes as w

given = {"n": v.Literal(v.COLUMN, (v.INTEGER, [1, 2])), "m": v.Literal(v.FLOAT, 0.5)}
assert w.literal_map_from_bytes(w.literal_map_to_bytes(given)) == given
print(sorted({m.split(".")[0] for m in sys.modules} & {"google", "flyteidl", "msgpack", "grpc"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
