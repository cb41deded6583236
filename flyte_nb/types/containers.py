"""list[T], dict[str, T], and dicts without a type or with other keys (structs)."""

# ruff: noqa: D102 - `Codec` says what these methods do
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, mismatch
from flyte_nb.types.scalars import ScalarCodec


def msgpack_struct(
    metadata: "dict[str, Any] | None" = None, fields: "dict[str, LiteralType] | None" = None
) -> LiteralType:
    """The type of a struct that travels as msgpack, marked as flytekit marks it."""
    annotation = {"cache-key-metadata": {"serialization-format": "msgpack"}}
    return LiteralType(
        literal_types.SIMPLE,
        literal_types.STRUCT,
        metadata=metadata,
        annotation=annotation,
        dataclass_type=fields,
    )


class ListCodec(Codec):
    """list[T]; of scalars a column, so that no element costs an object."""

    transformer = "Typed List"

    def __init__(self, python_type: Any, item: Codec) -> None:
        super().__init__(python_type, LiteralType(literal_types.COLLECTION, item.literal_type))
        self.item = item
        self.packs = item.packs
        self.imports = item.imports

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        values = self._list(value)
        item = self.item
        if isinstance(item, ScalarCodec) and item.column_kind:
            return Literal(literals.COLUMN, (item.column_kind, item.column(values)))
        encoded = []
        for index, element in enumerate(values):
            try:
                encoded.append(item.encode(element, data))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return Literal(literals.COLLECTION, encoded)

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        item = self.item
        if literal.kind == literals.COLUMN:
            kind, plain = literal.value
            if isinstance(item, ScalarCodec) and kind == item.column_kind:
                return item.uncolumn(plain)
            return [item.decode(Literal(kind, value), data) for value in plain]
        if literal.kind != literals.COLLECTION:
            return super().decode(literal, data)
        decoded = []
        for index, element in enumerate(literal.value):
            try:
                decoded.append(item.decode(element, data))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return decoded

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        return _each(self.item.pack, self._list(value), data)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return _each(self.item.unpack, self._list(plain), data)

    def schema(self) -> "dict[str, Any]":
        return {"type": "array", "items": self.item.schema()}

    def nearest(self, value: Any) -> Any:
        return list(value) if isinstance(value, (tuple, range)) and len(value) <= 6 else None

    def accepts_exactly(self, value: Any) -> bool:
        return type(value) is list and all(self.item.accepts_exactly(item) for item in value)

    def _list(self, value: Any) -> "list[Any]":
        if isinstance(value, list):
            return value
        raise mismatch(self, value)


class MapCodec(Codec):
    """dict[str, T]."""

    transformer = "Typed Dict"

    def __init__(self, python_type: Any, item: Codec) -> None:
        super().__init__(python_type, LiteralType(literal_types.MAP, item.literal_type))
        self.item = item
        self.packs = item.packs
        self.imports = item.imports

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        return Literal(literals.MAP, _each_value(self.item.encode, value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == literals.GENERIC:
            return self.unpack(literal.value, data)
        if literal.kind != literals.MAP:
            return super().decode(literal, data)
        return _each_value(self.item.decode, literal.value, data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        return _each_value(self.item.pack, value, data)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        return _each_value(self.item.unpack, plain, data)

    def schema(self) -> "dict[str, Any]":
        return {
            "type": "object",
            "additionalProperties": self.item.schema(),
            "propertyNames": {"type": "string"},
        }

    def accepts_exactly(self, value: Any) -> bool:
        return type(value) is dict and all(
            type(key) is str and self.item.accepts_exactly(item) for key, item in value.items()
        )


def _each(convert: Any, values: "list[Any]", data: "DataAccess | None") -> "list[Any]":
    done = []
    for index, value in enumerate(values):
        try:
            done.append(convert(value, data))
        except CodecError as error:
            raise error.below(f"[{index}]") from None
    return done


def _each_value(
    convert: Any, values: "dict[str, Any]", data: "DataAccess | None"
) -> "dict[str, Any]":
    done = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise CodecError(
                f"The key {key!r} is not a str.", hint="Use str keys, or declare the type as dict."
            )
        try:
            done[key] = convert(value, data)
        except CodecError as error:
            raise error.below(f"[{key!r}]") from None
    return done
