"""Codecs of int, float, str, bool and None, which a literal holds directly.

A value is converted only when nothing is lost. Everything else is refused, with a hint at what would fit.
"""

# ruff: noqa: D102 - `Codec` documents these methods
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import simple
from flyte_nb.api.literals import NOTHING, Literal, Plain
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, JsonSchema, mismatch, show

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1  # int64, as Primitive.integer in literals.proto


class ScalarCodec(Codec):
    """Codec of a type whose literal holds one plain value.

    A subclass defines `check`, from Python to plain, and `read`, from plain to Python. Whole lists go
    through `column` and `uncolumn`, which are fast where no element needs a conversion.
    """

    json_type = ""
    """The type's name in a JSON schema."""
    packs = True

    def check(self, value: object) -> Plain:
        """Return the plain value to store.

        Raises:
            CodecError: when `value` does not fit the type.
        """
        raise NotImplementedError

    def read(self, plain: Plain) -> Any:
        """Return the Python value of a stored plain value."""
        return plain

    def column(self, values: "list[Any]") -> "list[Plain]":
        """Return the plain values to store for a list.

        Raises:
            CodecError: when an element does not fit; `path` is its index.
        """
        # One pass in C for the usual list, whose elements are all of exactly this type.
        if set(map(type, values)) <= {self.python_type}:
            return values.copy()
        return self.each(self.check, values)

    def uncolumn(self, plain: "list[Plain]") -> "list[Any]":
        """Return the Python values of a stored column, in a list of their own."""
        return plain.copy()

    @staticmethod
    def each(convert: Any, values: "list[Any]") -> "list[Any]":
        """Return every value converted.

        Raises:
            CodecError: when `convert` raises it; `path` is the element's index.
        """
        done = []
        for index, value in enumerate(values):
            try:
                done.append(convert(value))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return done

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return Literal(self.column_kind, self.check(value))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == self.column_kind:
            return self.read(literal.value)
        return super().decode(literal, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return self.check(value)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return self.read(self.check(plain))

    def schema(self) -> JsonSchema:
        return {"type": self.json_type}


class IntCodec(ScalarCodec):
    """Codec of int, with 64 bits. numpy's integers are accepted; bool, a subclass of int, is refused."""

    transformer = "int"
    column_kind = literals.INTEGER
    json_type = "integer"

    def __init__(self) -> None:
        super().__init__(int, simple(literal_types.INTEGER))

    def check(self, value: object) -> Plain:
        """Return the value as a plain int.

        Raises:
            CodecError: when it is not an int, or needs more than 64 bits.
        """
        if type(value) is not int:
            value = self._as_int(value)
        if _LOWEST <= value <= _HIGHEST:
            return value
        raise CodecError(
            f"{show(value)} does not fit the 64 bits of Flyte's integer.",
            hint="Pass it as str or float.",
        )

    def column(self, values: "list[Any]") -> "list[Plain]":
        if not values:
            return []
        # As in the base class, but all values are also compared with the limits, by two passes in C.
        if set(map(type, values)) == {int} and min(values) >= _LOWEST and max(values) <= _HIGHEST:
            return values.copy()
        return self.each(self.check, values)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.FLOAT and literal.value.is_integer():
            return int(literal.value)  # Flyte's console sends every number as a float
        return super().decode(literal, data)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if type(plain) is float and plain.is_integer():
            return int(plain)  # google.protobuf.Struct has floats only
        return self.check(plain)

    def nearest(self, value: object) -> object:
        if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
            return int(value)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                return None
        return None

    def _as_int(self, value: object) -> int:
        value = item_of(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        raise mismatch(self, value)


class FloatCodec(ScalarCodec):
    """Codec of float. An int is accepted when a float holds it exactly."""

    transformer = "float"
    column_kind = literals.FLOAT
    json_type = "number"

    def __init__(self) -> None:
        super().__init__(float, simple(literal_types.FLOAT))

    def check(self, value: object) -> Plain:
        if type(value) is float:
            return value
        value = item_of(value)
        if isinstance(value, float):
            return float(value)
        # 2**53 + 1 as a float would silently be another number.
        if isinstance(value, int) and not isinstance(value, bool) and _exact(value):
            return float(value)
        raise mismatch(self, value)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        # Other clients send `1` for a float input as an integer.
        if literal.kind == literals.INTEGER:
            return float(literal.value)
        return super().decode(literal, data)

    def nearest(self, value: object) -> object:
        if isinstance(value, (str, bool)):
            try:
                return float(value)
            except ValueError:
                return None
        return None


class StrCodec(ScalarCodec):
    """Codec of str. Values of subclasses, e.g. numpy's, become plain str."""

    transformer = "str"
    column_kind = literals.STRING
    json_type = "string"

    def __init__(self) -> None:
        super().__init__(str, simple(literal_types.STRING))

    def check(self, value: object) -> Plain:
        if type(value) is str:
            return value
        if isinstance(value, str):
            return str.__str__(value)  # not `str(value)`, which a subclass may override
        raise mismatch(self, value)

    def nearest(self, value: object) -> object:
        return str(value) if isinstance(value, (int, float)) else None


class BoolCodec(ScalarCodec):
    """Codec of bool. numpy's bool is accepted, and nothing else."""

    transformer = "bool"
    column_kind = literals.BOOLEAN
    json_type = "boolean"

    def __init__(self) -> None:
        super().__init__(bool, simple(literal_types.BOOLEAN))

    def check(self, value: object) -> Plain:
        if type(value) is bool:
            return value
        value = item_of(value)
        if isinstance(value, bool):
            return value
        raise mismatch(self, value)

    def nearest(self, value: object) -> object:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return bool(value) if isinstance(value, int) and value in (0, 1) else None


class NoneCodec(Codec):
    """Codec of None."""

    transformer = "none"
    packs = True

    def __init__(self) -> None:
        super().__init__(type(None), simple(literal_types.NONE))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        if value is None:
            return NOTHING
        raise mismatch(self, value)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.NONE:
            return None
        return super().decode(literal, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if value is None:
            return None
        raise mismatch(self, value)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return self.pack(plain, data)

    def schema(self) -> JsonSchema:
        return {"type": "null"}


def item_of(value: object) -> Any:
    """Return the Python value of a numpy scalar, and anything else unchanged.

    It never imports numpy: a scalar is recognised by its module, and arrays by their length.
    """
    if (
        type(value).__module__ == "numpy"
        and hasattr(value, "item")
        and not hasattr(value, "__len__")
    ):
        return value.item()
    return value


def _exact(value: int) -> bool:
    """Return whether a float holds the int without a loss (always up to 2**53)."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False
