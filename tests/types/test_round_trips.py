"""Properties of every family: what is encoded, sent over the pipe and decoded is what it was."""

import dataclasses
import datetime
import enum
import json
import pickle
import typing
from typing import Any, Optional, Union

import msgpack as their_msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal, from_plain, to_plain
from flyte_nb.types import msgpack
from flyte_nb.types.files import FlyteDirectory, FlyteFile
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literal_bytes import literal_from_bytes, literal_to_bytes

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Leaf:
    n: int
    x: float = 0.5
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Tree:
    leaf: Leaf
    leaves: dict[str, Leaf]
    colour: Colour
    maybe: Optional[Leaf]
    either: Union[int, str]
    when: datetime.datetime
    span: datetime.timedelta
    pair: tuple[int, str]
    raw: bytes
    numbers: set[int]
    free: dict
    by_number: dict[int, list[int]]


INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(timezones=st.just(UTC))
SPANS = st.timedeltas(datetime.timedelta(days=-3_000_000), datetime.timedelta(days=3_000_000))
PLAIN = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PACKABLE = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXTS | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(TEXTS | INTS | st.binary(max_size=4), inner, max_size=20)
    ),
    max_leaves=30,
)
LEAVES = st.builds(Leaf, INTS, FLOATS, st.lists(TEXTS, max_size=3))
TREES = st.builds(
    Tree,
    LEAVES,
    st.dictionaries(TEXTS, LEAVES, max_size=2),
    st.sampled_from(Colour),
    st.none() | LEAVES,
    INTS | TEXTS,
    TIMES,
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=999)),
    st.tuples(INTS, TEXTS),
    st.binary(max_size=9),
    st.sets(INTS, max_size=3),
    st.dictionaries(TEXTS, PLAIN, max_size=3),
    st.dictionaries(INTS, st.lists(INTS, max_size=2), max_size=3),
)

FAMILIES: list[tuple[Any, Any]] = [
    (int, INTS),
    (float, FLOATS),
    (str, TEXTS),
    (bool, st.booleans()),
    (type(None), st.none()),
    (datetime.datetime, TIMES),
    (datetime.date, st.dates()),
    (datetime.timedelta, SPANS),
    (list[int], st.lists(INTS)),
    (list[str], st.lists(TEXTS)),
    (list[datetime.date], st.lists(st.dates())),
    (list[list[float]], st.lists(st.lists(FLOATS))),
    (list[Optional[bool]], st.lists(st.none() | st.booleans())),
    (dict[str, int], st.dictionaries(TEXTS, INTS)),
    (dict[str, list[str]], st.dictionaries(TEXTS, st.lists(TEXTS))),
    (dict, st.dictionaries(TEXTS, PLAIN)),
    (dict[int, str], st.dictionaries(INTS, TEXTS)),
    (Optional[int], st.none() | INTS),
    (Union[int, float, str, bool, None], st.none() | INTS | FLOATS | TEXTS | st.booleans()),
    (Union[list[int], list[str]], st.lists(INTS) | st.lists(TEXTS, min_size=1)),
    (Colour, st.sampled_from(Colour)),
    (typing.Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Leaf, LEAVES),
    (Optional[Leaf], st.none() | LEAVES),
    (list[Leaf], st.lists(LEAVES, max_size=3)),
    (Tree, TREES),
]


@pytest.mark.parametrize(("python_type", "values"), FAMILIES, ids=lambda item: str(item)[:40])
def test_a_value_comes_back_through_pipe_and_bytes(python_type, values):
    codec = default_registry().codec(python_type)

    @settings(max_examples=60)
    @given(values)
    def comes_back(value: Any) -> None:
        literal = codec.encode(value, None)
        piped = from_plain(json.loads(json.dumps(to_plain(literal))))
        assert codec.decode(piped, None) == value
        sent = literal_from_bytes(literal_to_bytes(literal))
        back = codec.decode(sent, None)
        assert back == value
        assert type(back) is type(value)

    comes_back()


@pytest.mark.parametrize(("python_type", "values"), FAMILIES, ids=lambda item: str(item)[:40])
def test_any_other_value_is_refused_with_a_codec_error_or_fits(python_type, values):
    codec = default_registry().codec(python_type)
    everything = (
        INTS
        | FLOATS
        | TEXTS
        | st.none()
        | st.booleans()
        | st.binary()
        | PLAIN
        | st.dates()
        | LEAVES
    )

    @settings(max_examples=40)
    @given(everything)
    def refused_or_fits(value: Any) -> None:
        try:
            literal = codec.encode(value, None)
        except CodecError:
            return
        codec.decode(literal_from_bytes(literal_to_bytes(literal)), None)

    refused_or_fits()


@given(PACKABLE)
def test_our_msgpack_is_the_packages(value):
    packed = msgpack.packb(value)
    assert packed == their_msgpack.packb(value)
    assert msgpack.unpackb(packed) == their_msgpack.unpackb(packed, strict_map_key=False) == value


@given(st.binary(max_size=60))
def test_damaged_msgpack_is_a_codec_error(data):
    try:
        msgpack.unpackb(data)
    except CodecError:
        pass


@pytest.mark.parametrize("size", [15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_msgpack_sizes_at_every_border(size):
    for value in ("x" * size, b"x" * size, [None] * size, dict.fromkeys(range(size))):
        packed = msgpack.packb(value)
        assert packed == their_msgpack.packb(value)
        assert msgpack.unpackb(packed) == value


@pytest.mark.parametrize(
    "number",
    [
        sign * 2**power + step
        for power in (5, 7, 8, 15, 16, 31, 32, 63)
        for sign in (1, -1)
        for step in (-1, 0)
    ],
)
def test_msgpack_integers_at_every_border(number):
    if -(2**63) <= number < 2**64:
        assert msgpack.packb(number) == their_msgpack.packb(number)


def test_msgpack_refuses_what_it_cannot_hold():
    for value in (2**64, -(2**63) - 1, object(), {1, 2}):
        with pytest.raises(CodecError):
            msgpack.packb(value)
    deep: list[Any] = []
    for _ in range(600):
        deep = [deep]
    with pytest.raises(CodecError, match="nested too deeply"):
        msgpack.packb(deep)
    with pytest.raises(CodecError, match="extension type"):
        msgpack.unpackb(b"\xd4\x01\x00")


@pytest.mark.parametrize("made", [FlyteFile, FlyteDirectory])
def test_a_file_type_with_a_format_is_pickled_and_compared_by_it(made):
    assert pickle.loads(pickle.dumps(made["csv"])) == made["csv"]
    assert made["csv"] == made[".csv"]
    assert made["csv"] != made["txt"]
    assert str(made("s3://b/x")) == "s3://b/x"


def test_a_parts_literal_is_read_like_the_value_itself():
    registry = default_registry()
    assert registry.codec(int).decode(Literal("struct", 3), None) == 3
    assert registry.codec(int).decode(Literal("float_value", 3.0), None) == 3
    assert registry.codec(float).decode(Literal("integer", 3), None) == 3.0
    assert registry.codec(list[int]).decode(Literal("struct", [1, 2]), None) == [1, 2]
    assert registry.codec(Leaf).decode(Literal("generic", {"n": 3.0}), None) == Leaf(3)
    assert registry.codec(dict[str, int]).decode(Literal("generic", {"n": 3.0}), None) == {"n": 3}
    assert registry.codec(Optional[int]).decode(Literal("integer", 3), None) == 3
    inner = registry.codec(Optional[int]).encode(3, None)
    assert registry.codec(int).decode(inner, None) == 3
