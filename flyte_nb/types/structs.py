"""Structs: dicts without a type or with keys that are not text, and what only exists inside structs.

A struct is plain data that travels as msgpack. Its parts follow flytekit, which leaves them to
mashumaro: an enum is its value, a datetime its ISO text, a tuple or set a list.
"""

# ruff: noqa: D102 - `Codec` says what these methods do
import os
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BLOB, BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types import msgpack
from flyte_nb.types.codec import Codec, mismatch, show, spell
from flyte_nb.types.containers import ListCodec, msgpack_struct
from flyte_nb.types.scalars import item_of

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

_MSGPACK = "msgpack"
OLD_FORMAT = "FLYTE_USE_OLD_DC_FORMAT"
"""flytekit's switch for values that tasks without msgpack read. Source: flytekit `core/constants.py`."""
_TRUE = frozenset({"true", "t", "1"})
_EXACT = 2**53
"""A Struct's numbers are doubles."""
_DEEPEST = 100  # protobuf reads no deeper either
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # what msgpack holds


class StructCodec(Codec):
    """A dict as a struct. Keys and values have codecs of their own, or are any plain data."""

    transformer = "Typed Dict"
    packs = True

    def __init__(
        self, python_type: Any, key: "Codec | None" = None, item: "Codec | None" = None
    ) -> None:
        super().__init__(python_type, msgpack_struct())
        self._key = key
        self._item = item

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        return struct_literal(self.pack(value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind == literals.MAP:  # a typed dict upstream
            plain = {key: plain_of(item) for key, item in literal.value.items()}
            return self.unpack(plain, data)
        struct = plain_struct(literal)
        return super().decode(literal, data) if struct is None else self.unpack(struct[0], data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        key, item = self._key, self._item
        done = {}
        for name, part in value.items():
            try:
                packed = key.pack(name, data) if key is not None else _plain_key(name)
                done[packed] = item.pack(part, data) if item is not None else plain_data(part)
            except CodecError as error:
                raise error.below(f"[{name!r}]") from None
        return done

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        key, item = self._key, self._item
        if key is None and item is None:
            return plain
        done = {}
        for name, part in plain.items():
            try:
                read = _read_key(key, name, data) if key is not None else name
                done[read] = item.unpack(part, data) if item is not None else part
            except CodecError as error:
                raise error.below(f"[{name!r}]") from None
        return done

    def schema(self) -> "dict[str, Any]":
        schema: dict[str, Any] = {"type": "object"}
        items = self._item.schema() if self._item is not None else {}
        keys = self._key.schema() if self._key is not None else {}
        if items:
            schema["additionalProperties"] = items
        if keys:
            schema["propertyNames"] = keys
        return schema

    def accepts_exactly(self, value: Any) -> bool:
        return type(value) is dict


class AnyPart(Codec):
    """Any plain data, as it is."""

    packs = True

    def __init__(self) -> None:
        blob = LiteralType(
            BLOB, BlobType("PythonPickle"), metadata={"python_class_name": "typing.Any"}
        )
        super().__init__(Any, blob)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        return plain_data(value)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return plain

    def accepts_exactly(self, value: Any) -> bool:
        return False


class BytesPart(Codec):
    """bytes, in msgpack as they are."""

    packs = True

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if isinstance(value, bytes):
            return value
        raise mismatch(self, value)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return self.pack(plain, data)

    def schema(self) -> "dict[str, Any]":
        return {"type": "string", "format": "base64"}


class SetPart(Codec):
    """set and frozenset, as a list."""

    packs = True

    def __init__(self, python_type: Any, literal_type: LiteralType, item: Codec) -> None:
        super().__init__(python_type, literal_type)
        self._class = frozenset if typing.get_origin(python_type) is frozenset else set
        self._list = ListCodec(list, item)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if not isinstance(value, (set, frozenset)):
            raise mismatch(self, value)
        return self._list.pack(sorted(value, key=repr), data)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        return self._class(self._list.unpack(plain, data))

    def schema(self) -> "dict[str, Any]":
        return {**self._list.schema(), "uniqueItems": True}


class TuplePart(Codec):
    """tuple[A, B], as a list of that length."""

    packs = True

    def __init__(self, python_type: Any, literal_type: LiteralType, items: "list[Codec]") -> None:
        super().__init__(python_type, literal_type)
        self._items = items

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if not isinstance(value, tuple) or len(value) != len(self._items):
            raise mismatch(self, value)
        return [item.pack(part, data) for item, part in zip(self._items, value, strict=True)]

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if not isinstance(plain, list) or len(plain) != len(self._items):
            raise mismatch(self, plain)
        return tuple(item.unpack(part, data) for item, part in zip(self._items, plain, strict=True))

    def schema(self) -> "dict[str, Any]":
        return {
            "type": "array",
            "prefixItems": [item.schema() for item in self._items],
            "minItems": len(self._items),
            "maxItems": len(self._items),
        }


class AnyList(Codec):
    """list without a type inside of a struct."""

    packs = True

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if not isinstance(value, list):
            raise mismatch(self, value)
        return plain_data(value)

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if not isinstance(plain, list):
            raise mismatch(self, plain)
        return plain

    def schema(self) -> "dict[str, Any]":
        return {"type": "array"}


def struct_codec(python_type: Any, registry: "CodecLookup") -> Codec:
    """The codec of `dict` and of `dict[K, V]` whose keys are not text."""
    arguments = typing.get_args(python_type)
    if len(arguments) != 2 or any(isinstance(part, typing.TypeVar) for part in arguments):
        return StructCodec(python_type)
    key, item = (part_codec(part, registry) for part in arguments)
    return StructCodec(python_type, key, item)


def part_codec(python_type: Any, registry: "CodecLookup") -> Codec:
    """The codec of a field of a dataclass, or of a key or value of a struct.

    Raises:
        CodecError: when values of the type cannot be plain data.
    """
    origin, arguments = typing.get_origin(python_type), typing.get_args(python_type)
    if python_type is Any or python_type is object:
        return AnyPart()
    if python_type is bytes:
        return BytesPart(bytes, registry.quiet.codec(bytes).literal_type)
    if origin is list and arguments:
        return ListCodec(python_type, part_codec(arguments[0], registry))
    if origin is list or python_type is list:
        return AnyList(list, msgpack_struct())
    if origin is dict or python_type is dict:
        return struct_codec(python_type, registry)
    if origin in (set, frozenset) and arguments:
        return SetPart(python_type, msgpack_struct(), part_codec(arguments[0], registry))
    if origin is tuple and arguments and Ellipsis not in arguments:
        items = [part_codec(part, registry) for part in arguments]
        return TuplePart(python_type, msgpack_struct(), items)
    if origin is typing.Union or origin is types.UnionType:
        from flyte_nb.types.unions import UnionCodec

        return UnionCodec(python_type, [part_codec(part, registry) for part in arguments])
    if isinstance(python_type, type) and "enum" in sys.modules:
        from flyte_nb.types.enums import EnumCodec

        if issubclass(python_type, sys.modules["enum"].Enum):
            return EnumCodec(python_type)
    codec = registry.codec(python_type)
    if not codec.packs:
        raise CodecError(f"{spell(python_type)} cannot be part of a struct.")
    return codec


def struct_literal(plain: Any) -> Literal:
    """The literal of a struct: plain data where JSON can carry it, else packed already.

    With `FLYTE_USE_OLD_DC_FORMAT` it is a `google.protobuf.Struct`, as flytekit wrote it before msgpack.
    """
    if os.environ.get(OLD_FORMAT, "").lower() in _TRUE:
        return generic_literal(plain)
    if _is_json(plain):
        return Literal(literals.STRUCT, plain)
    return Literal(literals.BINARY, (msgpack.packb(plain), _MSGPACK))


def generic_literal(plain: Any) -> Literal:
    """Return the struct as a `google.protobuf.Struct`, which readers without msgpack take.

    Raises:
        CodecError: it holds what a Struct cannot, or would change: bytes, and numbers beyond 2**53.
    """
    return Literal(literals.GENERIC, _json(plain))


def _json(plain: Any) -> Any:
    if isinstance(plain, dict):
        done = {}
        for key, item in plain.items():
            try:
                done[_json_key(key)] = _json(item)
            except CodecError as error:
                raise error.below(f"[{key!r}]") from None
        return done
    if isinstance(plain, list):
        items = []
        for index, item in enumerate(plain):
            try:
                items.append(_json(item))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return items
    if isinstance(plain, bytes):
        raise CodecError(
            "bytes do not fit into a Struct without msgpack.", hint="Pass text, e.g. base64."
        )
    if isinstance(plain, int) and abs(plain) > _EXACT:
        raise CodecError(
            f"{show(plain)} loses digits in a Struct without msgpack.", hint="Pass it as str."
        )
    return plain


def _json_key(key: Any) -> str:
    """A key as JSON has it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, (int, float)):
        return repr(key)
    raise CodecError(
        f"The key {show(key)} does not fit into a Struct without msgpack.", hint="Use text."
    )


def plain_struct(literal: Literal) -> "tuple[Any] | None":
    """The plain data of a struct's literal, in a tuple of one; `None` when it is none."""
    if literal.kind in (literals.STRUCT, literals.GENERIC):
        return (literal.value,)
    if literal.kind == literals.BINARY and literal.value[1] == _MSGPACK:
        return (msgpack.unpackb(literal.value[0]),)
    return None


def plain_of(literal: Literal) -> Any:
    """Any literal's value as plain data, as far as it is some."""
    kind, value, _ = literal
    if kind in (literals.COLLECTION,):
        return [plain_of(item) for item in value]
    if kind == literals.COLUMN:
        return list(value[1])
    if kind == literals.MAP:
        return {key: plain_of(item) for key, item in value.items()}
    if kind == literals.UNION:
        return plain_of(value[0])
    struct = plain_struct(literal)
    return value if struct is None else struct[0]


def plain_data(value: Any, depth: int = 0) -> Any:
    """The value as plain data: tuples become lists, numpy's scalars Python's.

    Raises:
        CodecError: when something in it is no plain data; the path says where.
    """
    kind = type(value)
    if depth > _DEEPEST:
        raise CodecError("The value is nested too deeply, or holds itself.")
    if value is None or kind in (str, bool, float, bytes):
        return value
    if kind is int:
        if _LOWEST <= value <= _HIGHEST:
            return value
        raise CodecError(f"{show(value)} does not fit 64 bits.", hint="Pass it as str.")
    if kind in (list, tuple):
        done = []
        for index, part in enumerate(value):
            try:
                done.append(plain_data(part, depth + 1))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return done
    if isinstance(value, dict):
        return _plain_dict(value, depth)
    if isinstance(value, str):  # numpy's
        return str.__str__(value)
    item = item_of(value)
    if item is not value:
        return plain_data(item)
    raise CodecError(
        f"{spell(kind)} {show(value)} is no plain data.",
        hint="A dict without a type holds None, bool, int, float, str, bytes, lists and dicts;"
        " for anything else write dict[str, Any], which pickles its values.",
    )


def _plain_dict(value: "dict[Any, Any]", depth: int) -> "dict[Any, Any]":
    done = {}
    for key, part in value.items():
        try:
            done[_plain_key(key)] = plain_data(part, depth + 1)
        except CodecError as error:
            raise error.below(f"[{key!r}]") from None
    return done


def _plain_key(key: Any) -> Any:
    if key is None or isinstance(key, (str, int, float, bool, bytes)):
        return key
    item = item_of(key)
    if item is not key:
        return _plain_key(item)
    raise CodecError(f"The key {show(key)} is no plain data.", hint="Use text or numbers as keys.")


def _read_key(codec: Codec, key: Any, data: "DataAccess | None") -> Any:
    """A key as its type says; JSON and the console made text of every key."""
    try:
        return codec.unpack(key, data)
    except CodecError:
        if not isinstance(key, str):
            raise
        near = codec.nearest(key)
        if near is None:
            raise
        return near


def _is_json(plain: Any) -> bool:
    if isinstance(plain, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in plain.items())
    if isinstance(plain, list):
        return all(map(_is_json, plain))
    return not isinstance(plain, bytes)
