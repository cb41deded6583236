"""Codecs of list[T] and dict[str, T]. Dicts without a type or with other keys are in `structs.py`."""

# ruff: noqa: D102 - `Codec` documents these methods
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, JsonSchema, mismatch
from flyte_nb.types.scalars import ScalarCodec


def msgpack_struct(
    metadata: "dict[str, Any] | None" = None, fields: "dict[str, LiteralType] | None" = None
) -> LiteralType:
    """Return the type of a struct that travels as msgpack, marked as flytekit marks it.

    Args:
        metadata: the JSON schema of a dataclass.
        fields: the literal types of a dataclass's fields.
    """
    annotation = {"cache-key-metadata": {"serialization-format": "msgpack"}}
    return LiteralType(
        literal_types.SIMPLE,
        literal_types.STRUCT,
        metadata=metadata,
        annotation=annotation,
        dataclass_type=fields,
    )


class ListCodec(Codec):
    """Codec of list[T].

    A list of scalars becomes one `COLUMN`, because a literal object for each of a million numbers would
    cost seconds. Other lists become a `COLLECTION` of literals.
    """

    transformer = "Typed List"

    def __init__(self, python_type: Annotation, item: Codec) -> None:
        super().__init__(python_type, LiteralType(literal_types.COLLECTION, item.literal_type))
        self.item = item
        self.packs = item.packs
        self.imports = item.imports

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
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

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        item = self.item
        if literal.kind == literals.COLUMN:
            # Any host may write any list of scalars as a column, e.g. of ints for a list[float].
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

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return _each(self.item.pack, self._list(value), data)

    def unpack(self, plain: object, data: "DataAccess | None") -> "list[object]":
        return _each(self.item.unpack, self._list(plain), data)

    def schema(self) -> JsonSchema:
        return {"type": "array", "items": self.item.schema()}

    def nearest(self, value: object) -> object:
        return list(value) if isinstance(value, (tuple, range)) and len(value) <= 6 else None

    def accepts_exactly(self, value: object) -> bool:
        return type(value) is list and all(self.item.accepts_exactly(item) for item in value)

    def _list(self, value: object) -> "list[Any]":
        if isinstance(value, list):
            return value
        raise mismatch(self, value)


class MapCodec(Codec):
    """Codec of dict[str, T]."""

    transformer = "Typed Dict"

    def __init__(self, python_type: Annotation, item: Codec) -> None:
        super().__init__(python_type, LiteralType(literal_types.MAP, item.literal_type))
        self.item = item
        self.packs = item.packs
        self.imports = item.imports

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        return Literal(literals.MAP, _each_value(self.item.encode, value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.GENERIC:
            return self.unpack(literal.value, data)
        if literal.kind != literals.MAP:
            return super().decode(literal, data)
        return _each_value(self.item.decode, literal.value, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        return _each_value(self.item.pack, value, data)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        return _each_value(self.item.unpack, plain, data)

    def schema(self) -> JsonSchema:
        return {
            "type": "object",
            "additionalProperties": self.item.schema(),
            "propertyNames": {"type": "string"},
        }

    def accepts_exactly(self, value: object) -> bool:
        return type(value) is dict and all(
            type(key) is str and self.item.accepts_exactly(item) for key, item in value.items()
        )


def _each(convert: Any, values: "list[Any]", data: "DataAccess | None") -> "list[Any]":
    """Return the converted values; the error of one names its index."""
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
    """Return the converted values by key; the error of one names its key."""
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
