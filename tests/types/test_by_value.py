"""Values for fetched interfaces, read by what they are."""

import dataclasses
import enum

import pytest

from flyte_nb.api.errors import CodecError
from flyte_nb.types.by_value import codec_for
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literals import literal_to_idl
from flyte_nb.wire.types import type_from_idl, type_to_idl

REGISTRY = default_registry(warn_pickled=False)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Paint(enum.Enum):
    """Another person's class with one equal value."""

    SCARLET = "red"
    GREEN = "green"


@dataclasses.dataclass
class Row:
    n: int
    tags: list[str] = dataclasses.field(default_factory=list)
    note: str | None = None


@dataclasses.dataclass
class Wider:
    n: int
    more: int


def fetched(python_type):
    """The codec for what was registered as this type, and its own codec."""
    own = REGISTRY.codec(python_type)
    return codec_for(type_from_idl(type_to_idl(own.literal_type)), REGISTRY), own


@pytest.mark.parametrize(
    ("python_type", "value"),
    [
        (Colour, Colour.RED),
        (Row, Row(1, ["a"])),
        (list[Colour], [Colour.RED, Colour.BLUE]),
        (dict[str, Row], {"a": Row(2, [], "x")}),
        (list[dict[str, Colour]], [{"a": Colour.BLUE}]),
        (Colour | None, Colour.RED),
        (Row | None, None),
        (dict, {"a": [1, {"b": None}]}),
        (list[int], [1, 2]),
        (int, 3),
    ],
)
def test_the_users_own_values_become_what_the_registered_task_wants(python_type, value):
    codec, own = fetched(python_type)
    made, expected = codec.encode(value, None), own.encode(value, None)
    assert literal_to_idl(made) == literal_to_idl(expected)


def test_any_enum_and_any_text_with_a_registered_value_fits():
    codec, _ = fetched(Colour)
    assert codec.encode(Paint.SCARLET, None).value == "red"
    assert codec.encode("blue", None).value == "blue"


@pytest.mark.parametrize(
    ("python_type", "value", "message"),
    [
        (Colour, Paint.GREEN, r"none of the registered values\. Write 'red' or 'blue'"),
        (list[Colour], ["red", "green"], r"'green' is none.*at \$\[1\]"),
        (Row, Row("x"), r"Expected int, got str 'x'\. \(at \$\.n\)"),
        (Row, Wider(1, 2), "has more, which the registered type does not have"),
        (Row, {"tags": []}, "lacks n"),
        (Row, 3, "Expected dict, got int 3"),
        (dict[str, list[Row]], {"a": [Row(1), 3]}, r"\$\['a'\]\[1\]"),
        (list[Row], (Row(1),), "got tuple"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(python_type, value, message):
    codec, _ = fetched(python_type)
    with pytest.raises(CodecError, match=message):
        codec.encode(value, None)
