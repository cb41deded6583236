"""int, float, str, bool and None: what a literal holds directly."""

# ruff: noqa: D102 - `Codec` says what these methods do
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import simple
from flyte_nb.api.literals import NOTHING, Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, mismatch, show

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class ScalarCodec(Codec):
    """A type whose literal holds one plain value; `check` is the whole rule of what fits."""

    json_type = ""
    packs = True

    def check(self, value: Any) -> Any:
        """The plain value to store; `CodecError` when `value` does not fit."""
        raise NotImplementedError

    def read(self, plain: Any) -> Any:
        """The Python value of a stored plain value."""
        return plain

    def column(self, values: "list[Any]") -> "list[Any]":
        """The plain values to store for a list; a `CodecError` tells the index."""
        if set(map(type, values)) <= {self.python_type}:
            return values.copy()
        return self.each(self.check, values)

    def uncolumn(self, plain: "list[Any]") -> "list[Any]":
        """The Python values of a stored column."""
        return plain.copy()

    @staticmethod
    def each(convert: Any, values: "list[Any]") -> "list[Any]":
        """Every value converted; a `CodecError` tells the index."""
        done = []
        for index, value in enumerate(values):
            try:
                done.append(convert(value))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return done

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        return Literal(self.column_kind, self.check(value))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == self.column_kind:
            return self.read(literal.value)
        return super().decode(literal, data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        return self.check(value)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return self.read(self.check(plain))

    def schema(self) -> "dict[str, Any]":
        return {"type": self.json_type}


class IntCodec(ScalarCodec):
    """int of 64 bits. bool is refused; numpy's integers are taken for what they are."""

    transformer = "int"
    column_kind = literals.INTEGER
    json_type = "integer"

    def __init__(self) -> None:
        super().__init__(int, simple(literal_types.INTEGER))

    def check(self, value: Any) -> Any:
        if type(value) is not int:
            value = self._as_int(value)
        if _LOWEST <= value <= _HIGHEST:
            return value
        raise CodecError(
            f"{show(value)} does not fit the 64 bits of Flyte's integer.",
            hint="Pass it as str or float.",
        )

    def column(self, values: "list[Any]") -> "list[Any]":
        if not values:
            return []
        if set(map(type, values)) == {int} and min(values) >= _LOWEST and max(values) <= _HIGHEST:
            return values.copy()
        return self.each(self.check, values)

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == literals.FLOAT and literal.value.is_integer():
            return int(literal.value)  # the console sends every number as a float
        return super().decode(literal, data)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if type(plain) is float and plain.is_integer():
            return int(plain)  # google.protobuf.Struct has no integers
        return self.check(plain)

    def nearest(self, value: Any) -> Any:
        if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
            return int(value)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                return None
        return None

    def _as_int(self, value: Any) -> int:
        value = item_of(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        raise mismatch(self, value)


class FloatCodec(ScalarCodec):
    """float. An int is taken as long as nothing of it is lost."""

    transformer = "float"
    column_kind = literals.FLOAT
    json_type = "number"

    def __init__(self) -> None:
        super().__init__(float, simple(literal_types.FLOAT))

    def check(self, value: Any) -> Any:
        if type(value) is float:
            return value
        value = item_of(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int) and not isinstance(value, bool) and _exact(value):
            return float(value)
        raise mismatch(self, value)

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == literals.INTEGER:
            return float(literal.value)
        return super().decode(literal, data)

    def nearest(self, value: Any) -> Any:
        if isinstance(value, (str, bool)):
            try:
                return float(value)
            except ValueError:
                return None
        return None


class StrCodec(ScalarCodec):
    """str."""

    transformer = "str"
    column_kind = literals.STRING
    json_type = "string"

    def __init__(self) -> None:
        super().__init__(str, simple(literal_types.STRING))

    def check(self, value: Any) -> Any:
        if type(value) is str:
            return value
        if isinstance(value, str):
            return str.__str__(value)
        raise mismatch(self, value)

    def nearest(self, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) else None


class BoolCodec(ScalarCodec):
    """bool; numpy's too, nothing else."""

    transformer = "bool"
    column_kind = literals.BOOLEAN
    json_type = "boolean"

    def __init__(self) -> None:
        super().__init__(bool, simple(literal_types.BOOLEAN))

    def check(self, value: Any) -> Any:
        if type(value) is bool:
            return value
        value = item_of(value)
        if isinstance(value, bool):
            return value
        raise mismatch(self, value)

    def nearest(self, value: Any) -> Any:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return bool(value) if isinstance(value, int) and value in (0, 1) else None


class NoneCodec(Codec):
    """None."""

    transformer = "none"
    packs = True

    def __init__(self) -> None:
        super().__init__(type(None), simple(literal_types.NONE))

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        if value is None:
            return NOTHING
        raise mismatch(self, value)

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == literals.NONE:
            return None
        return super().decode(literal, data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if value is None:
            return None
        raise mismatch(self, value)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return self.pack(plain, data)

    def schema(self) -> "dict[str, Any]":
        return {"type": "null"}


def item_of(value: Any) -> Any:
    """The Python value of a numpy scalar; anything else as it is."""
    if (
        type(value).__module__ == "numpy"
        and hasattr(value, "item")
        and not hasattr(value, "__len__")
    ):
        return value.item()
    return value


def _exact(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False
