"""Translate literals: `api.literals` <-> flyteidl/core/literals.proto as messages.

Lists of scalars are written and read by `columns`, because message objects would cost 5 to 46 times as
much. Everything else goes through flyteidl's own classes.

`api` cannot hold everything that a message can:

- a literal that is stored elsewhere (`offloaded_metadata`) is read through the caller's `fetch`, or refused;
- a legacy schema becomes a structured dataset;
- nanoseconds are cut to microseconds;
- msgpack that is not plain data stays `BINARY`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgpack
from flyteidl.core import literals_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, EncodeError
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal, marked
from flyte_nb.wire.columns import MICROS, column_from_bytes, column_to_bytes, primitive_to_bytes
from flyte_nb.wire.encoding import Unsendable, utf8
from flyte_nb.wire.structs import fill_struct, struct_from_idl
from flyte_nb.wire.types import (
    blob_type_from_idl,
    dataset_type_from_idl,
    fill_blob_type,
    fill_dataset_type,
    fill_schema_type,
    fill_type,
    schema_type_from_idl,
    type_from_idl,
)

MSGPACK = "msgpack"
"""`Binary.tag` of msgpack data, as flytekit writes it."""

Fetch = Callable[[str], bytes]
"""Returns the bytes of the object at a URI, to read a literal that is stored there."""

_PRIMITIVES = {
    "integer": v.INTEGER,
    "float_value": v.FLOAT,
    "string_value": v.STRING,
    "boolean": v.BOOLEAN,
}
"""By field of `Primitive`: the kinds whose value is the field's value, unchanged."""

_NESTED = frozenset({v.COLLECTION, v.MAP, v.UNION, v.GENERIC})


def literal_to_idl(literal: Literal) -> literals_pb2.Literal:
    """Return the literal as flyteidl's message.

    Raises:
        CodecError: when a part of the value cannot be sent; `path` is its place.
    """
    message = literals_pb2.Literal()
    try:
        _fill(message, literal)
        # protobuf writes messages that are nested 100 deep and refuses to read them. The author should get
        # the error, and not whoever reads the value later, so it is read once here.
        if literal.kind in _NESTED:
            literals_pb2.Literal.FromString(message.SerializeToString())
    except (DecodeError, EncodeError, RecursionError):
        raise too_deep() from None
    return message


def literal_from_idl(message: literals_pb2.Literal, fetch: "Fetch | None" = None) -> Literal:
    """Return the literal in flyteidl's message.

    Args:
        message: Never changed.
        fetch: Reads a literal that is stored elsewhere; without it such a literal is refused.

    Raises:
        CodecError: when it is damaged, or has no value or one that `api` cannot hold.
    """
    try:
        return _read(message, fetch)
    except RecursionError:
        raise too_deep() from None


def literal_map_to_idl(literals: "Mapping[str, Literal]") -> literals_pb2.LiteralMap:
    """Return the literals as flyteidl's message.

    Raises:
        CodecError: as `literal_to_idl` does; `path` begins with the name.
    """
    message = literals_pb2.LiteralMap()
    for name, literal in literals.items():
        try:
            utf8(name)
            message.literals[name].CopyFrom(literal_to_idl(literal))
        except CodecError as error:
            raise error.below(f".{name}") from None
    return message


def literal_map_from_idl(
    message: literals_pb2.LiteralMap, fetch: "Fetch | None" = None
) -> "dict[str, Literal]":
    """Return the literals of flyteidl's message by name, sorted.

    Raises:
        CodecError: as `literal_from_idl` does; `path` begins with the name.
    """
    found = {}
    for name in sorted(message.literals):
        try:
            found[name] = literal_from_idl(message.literals[name], fetch)
        except CodecError as error:
            raise error.below(f".{name}") from None
    return found


def too_deep() -> CodecError:
    """Return the error for a value that protobuf would not read again."""
    return CodecError(
        "The value is nested too deeply to be sent.",
        hint="protobuf reads about 30 levels of lists or dicts; flatten it, or pickle it.",
    )


def _fill(message: literals_pb2.Literal, literal: Literal) -> None:
    kind, value, digest = literal
    if kind == v.COLLECTION:
        # SetInParent marks an empty list as present. Unset, the literal would have no value at all.
        message.collection.SetInParent()
        for index, item in enumerate(value):
            try:
                _fill(message.collection.literals.add(), item)
            except CodecError as error:
                raise error.below(f"[{index}]") from None
    elif kind == v.COLUMN:
        message.collection.SetInParent()
        message.collection.MergeFromString(column_to_bytes(value[0], value[1]))
    elif kind == v.MAP:
        message.map.SetInParent()
        for key, item in value.items():
            try:
                utf8(key)
                _fill(message.map.literals[key], item)
            except CodecError as error:
                raise error.below(f".{key}") from None
    else:
        _fill_scalar(message.scalar, literal)
    if digest:
        utf8(digest)  # protobuf's own error for a lone surrogate names no place
        message.hash = digest
    for name, text in (literal.metadata or {}).items():
        utf8(name)
        utf8(text)
        message.metadata[name] = text


def _fill_scalar(scalar: literals_pb2.Scalar, literal: Literal) -> None:
    kind, value, _ = literal
    if kind in v.SCALAR_KINDS:
        scalar.primitive.MergeFromString(primitive_to_bytes(kind, value))
    elif kind == v.NONE:
        scalar.none_type.SetInParent()
    elif kind == v.STRUCT:
        # The worker sends plain data, because its standard library has no msgpack.
        scalar.binary.value, scalar.binary.tag = _pack(value), MSGPACK
    elif kind == v.UNION:
        inner, type = value
        _fill(scalar.union.value, inner)
        fill_type(scalar.union.type, type)
    elif kind == v.BLOB:
        uri, blob = value
        utf8(uri)
        scalar.blob.uri = uri
        fill_blob_type(scalar.blob.metadata.type, blob)
    elif kind == v.STRUCTURED_DATASET:
        uri, dataset = value
        utf8(uri)
        scalar.structured_dataset.uri = uri
        fill_dataset_type(scalar.structured_dataset.metadata.structured_dataset_type, dataset)
    elif kind == v.SCHEMA:
        uri, dataset = value
        utf8(uri)
        scalar.schema.uri = uri
        fill_schema_type(scalar.schema.type, dataset)
    elif kind == v.GENERIC:
        fill_struct(scalar.generic, value)
    elif kind == v.BINARY:
        scalar.binary.SetInParent()
        scalar.binary.value, scalar.binary.tag = value
    elif kind == v.ERROR:
        scalar.error.SetInParent()
        scalar.error.message, scalar.error.failed_node_id = value
    else:
        raise CodecError(f"The literal has the kind {kind!r}, which does not exist.")


def _read(message: literals_pb2.Literal, fetch: "Fetch | None") -> Literal:
    kind = message.WhichOneof("value")
    if kind == "scalar":
        name, value = _scalar(message.scalar, fetch)
    elif kind == "collection":
        name, value = _collection(message.collection, fetch)
    elif kind == "map":
        name, value = v.MAP, _map(message.map, fetch)
    elif kind == "offloaded_metadata":
        inner = _offloaded(message.offloaded_metadata.uri, fetch)
        # The writer may have put the hash at the reference only, and cache keys need it.
        if inner.hash or not message.hash:
            return inner
        return marked(inner._replace(hash=message.hash), inner.metadata)
    else:
        raise CodecError("The literal has no value.")
    read = Literal(name, value, message.hash)
    return marked(read, dict(message.metadata)) if message.metadata else read


def _map(message: literals_pb2.LiteralMap, fetch: "Fetch | None") -> "dict[str, Literal]":
    found = {}
    # protobuf's maps have no order, and equal values should look alike.
    for key in sorted(message.literals):
        try:
            found[key] = _read(message.literals[key], fetch)
        except CodecError as error:
            raise error.below(f".{key}") from None
    return found


def _collection(
    message: literals_pb2.LiteralCollection, fetch: "Fetch | None"
) -> "tuple[str, Any]":
    # Two ways to a column: by bytes for the usual layout, and by items for any other that protobuf allows.
    first = message.literals[0] if message.literals else None
    if first is not None and first.scalar.HasField("primitive"):
        column = column_from_bytes(message.SerializeToString())
        if column is not None:
            return v.COLUMN, column
    items: list[Literal] = []
    for item in message.literals:
        try:
            items.append(_read(item, fetch))
        except CodecError as error:
            raise error.below(f"[{len(items)}]") from None
    # A column has no room for hashes and metadata of its items.
    kinds = {item.kind for item in items}
    if (
        len(kinds) == 1
        and kinds <= v.SCALAR_KINDS
        and not any(item.hash or item.metadata for item in items)
    ):
        return v.COLUMN, (items[0].kind, [item.value for item in items])
    return v.COLLECTION, items


def _scalar(scalar: literals_pb2.Scalar, fetch: "Fetch | None") -> "tuple[str, Any]":
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive(scalar.primitive)
    if kind == "none_type":
        return v.NONE, None
    if kind == "binary":
        return _binary(scalar.binary)
    if kind == "union":
        return v.UNION, (_read(scalar.union.value, fetch), type_from_idl(scalar.union.type))
    if kind == "blob":
        return v.BLOB, (scalar.blob.uri, blob_type_from_idl(scalar.blob.metadata.type))
    if kind == "structured_dataset":
        dataset = scalar.structured_dataset
        type = dataset_type_from_idl(dataset.metadata.structured_dataset_type)
        return v.STRUCTURED_DATASET, (dataset.uri, type)
    if kind == "generic":
        return v.GENERIC, struct_from_idl(scalar.generic)
    if kind == "error":
        return v.ERROR, (scalar.error.message, scalar.error.failed_node_id)
    if kind == "schema":
        # The legacy FlyteSchema, whose files are parquet.
        legacy = schema_type_from_idl(scalar.schema.type)._replace(format="parquet")
        return v.STRUCTURED_DATASET, (scalar.schema.uri, legacy)
    raise CodecError("The scalar has no value.")


def _primitive(primitive: literals_pb2.Primitive) -> "tuple[str, Any]":
    field = primitive.WhichOneof("value") or ""
    if field in _PRIMITIVES:
        return _PRIMITIVES[field], getattr(primitive, field)
    if field == "datetime":
        return v.DATETIME, _micros(primitive.datetime)
    if field == "duration":
        return v.DURATION, _micros(primitive.duration)
    raise CodecError("The primitive has no value.")


def _micros(message: "Timestamp | Duration") -> int:
    """Return the microseconds in a time; nanoseconds are cut off, towards the past."""
    return message.seconds * MICROS + message.nanos // 1000


def _binary(binary: literals_pb2.Binary) -> "tuple[str, Any]":
    if binary.tag == MSGPACK:
        try:
            value = msgpack.unpackb(binary.value, strict_map_key=False)  # type: ignore[attr-defined,no-untyped-call]  # msgpack has no types
        # The tag is only what the writer claims. Other bytes are passed on as they are.
        except (ValueError, TypeError, msgpack.UnpackException):
            return v.BINARY, (binary.value, binary.tag)
        # Other data stays bytes, so that nothing of another client's value is lost.
        if _is_plain(value):
            return v.STRUCT, value
    return v.BINARY, (binary.value, binary.tag)


def _pack(value: object) -> bytes:
    try:
        packed: bytes = msgpack.packb(value)  # type: ignore[no-untyped-call]  # msgpack has no types
    except (TypeError, ValueError, OverflowError) as error:
        raise Unsendable(
            f"The value cannot be packed as msgpack: {error}.",
            hint="It may hold None, bool, numbers up to 64 bits, text, lists and dicts.",
        ) from None
    return packed


def _is_plain(value: object) -> bool:
    """Return whether JSON can hold the value, i.e. it has no bytes, timestamps or extension types.

    A loop and not a recursion: msgpack of another client may be nested deeper than Python's stack.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
            # msgpack allows any kind of key.
            stack.extend(key for key in item if not isinstance(key, str))
        elif isinstance(item, list):
            stack.extend(item)
        elif not (item is None or isinstance(item, (str, int, float))):
            return False
    return True


def _offloaded(uri: str, fetch: "Fetch | None") -> Literal:
    if fetch is None:
        raise CodecError(
            f"The value is not in the message, because it is large: it is stored at {uri}.",
            hint="Read that object: it is a flyteidl Literal.",
        )
    return _read(decoded(literals_pb2.Literal, fetch(uri)), fetch)


def decoded(kind: Any, data: bytes) -> Any:
    """Return the message of class `kind` in `data`.

    Raises:
        CodecError: when `data` is no such message, or one that is nested more than 100 deep.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise CodecError(
            f"The bytes are not a protobuf message of the kind {kind.DESCRIPTOR.full_name}: {error}.",
            hint="The file may be incomplete, may not be a protobuf file, or may be nested too deeply.",
        ) from None
