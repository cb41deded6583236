"""Codecs of structs: dicts without a type or with keys that are not text, and types of their parts.

A struct is plain data that travels as msgpack. Its parts are written as flytekit's mashumaro writes them:
an enum as its value, a datetime as ISO text, a tuple or set as a list. The codecs `…Part` and `AnyList`
exist inside structs only: as an input of its own such a type is refused or pickled.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BLOB, BlobType, LiteralType
from flyte_nb.api.literals import Literal, marked
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, JsonSchema, NeedsStore, mismatch, spell
from flyte_nb.types.containers import ListCodec, msgpack_struct
from flyte_nb.types.plain_data import (
    plain_data,
    plain_key,
    plain_of,
    plain_struct,
    struct_literal,
)

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


_PICKLE_FILE, _FORMAT, _PICKLE = "pickle_file", "format", "pickle"
"""How flytekit writes a dict that it pickled: `{"pickle_file": uri}`, with `format=pickle` as metadata."""


class StructCodec(Codec):
    """Codec of a dict that becomes a struct. Keys or values without a codec are any plain data."""

    transformer = "Typed Dict"
    packs = True

    def __init__(
        self, python_type: Annotation, key: "Codec | None" = None, item: "Codec | None" = None
    ) -> None:
        super().__init__(python_type, msgpack_struct())
        self._key = key
        self._item = item

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return struct_literal(self.pack(value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.MAP:  # the other task returned a dict[str, T]
            # Each value of a map is a literal of its own, while a struct has plain data.
            plain = {key: plain_of(item) for key, item in literal.value.items()}
            return self.unpack(plain, data)
        if (literal.metadata or {}).get(_FORMAT) == _PICKLE:
            return _unpickled(literal, data)
        struct = plain_struct(literal)
        # `plain_struct` answers with a tuple, because `None` itself can be a struct's data.
        return super().decode(literal, data) if struct is None else self.unpack(struct[0], data)

    def with_options(self, options: "dict[str, bool]") -> Codec:
        """Return the codec with the option of `Annotated[dict, kwtypes(allow_pickle=True)]`."""
        if not options.get("allow_pickle"):
            return self
        return PickledStructCodec(self.python_type, self._key, self._item)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if not isinstance(value, dict):
            raise mismatch(self, value)
        key, item = self._key, self._item
        done = {}
        for name, part in value.items():
            try:
                packed = key.pack(name, data) if key is not None else plain_key(name)
                done[packed] = item.pack(part, data) if item is not None else plain_data(part)
            except CodecError as error:
                raise error.below(f"[{name!r}]") from None
        return done

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        key, item = self._key, self._item
        # Read data belongs to this call, so it is not copied where nothing has to be converted.
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

    def schema(self) -> JsonSchema:
        schema: dict[str, Any] = {"type": "object"}
        items = self._item.schema() if self._item is not None else {}
        keys = self._key.schema() if self._key is not None else {}
        if items:
            schema["additionalProperties"] = items
        if keys:
            schema["propertyNames"] = keys
        return schema

    def accepts_exactly(self, value: object) -> bool:
        return type(value) is dict


class PickledStructCodec(StructCodec):
    """Codec of a dict that is pickled where it is no plain data (flytekit's `allow_pickle`)."""

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        try:
            return super().encode(value, data)
        # The dict itself fits, and only a file in it has no store. To pickle it would need the store as well.
        except NeedsStore:
            raise
        except CodecError:
            if not isinstance(value, dict):
                raise
            stored = _pickles().encode(value, data)
        # flytekit reads the place of the pickle from a `google.protobuf.Struct`, not from msgpack.
        named = Literal(literals.GENERIC, {_PICKLE_FILE: stored.value[0]})
        return marked(named, {_FORMAT: _PICKLE})


class AnyPart(Codec):
    """Codec of a part without a type: any plain data, unchanged."""

    packs = True

    def __init__(self) -> None:
        blob = LiteralType(
            BLOB, BlobType("PythonPickle"), metadata={"python_class_name": "typing.Any"}
        )
        super().__init__(Any, blob)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return plain_data(value)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return plain

    def accepts_exactly(self, value: object) -> bool:
        return False


class BytesPart(Codec):
    """Codec of a part of type bytes, which msgpack holds directly."""

    packs = True

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if isinstance(value, bytes):
            return value
        raise mismatch(self, value)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return self.pack(plain, data)

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "base64"}


class SetPart(Codec):
    """Codec of a part that is a set or frozenset, written as a list."""

    packs = True

    def __init__(self, python_type: Annotation, literal_type: LiteralType, item: Codec) -> None:
        super().__init__(python_type, literal_type)
        origin: Any = typing.get_origin(python_type)
        self._class = frozenset if origin is frozenset else set
        self._list = ListCodec(list, item)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if not isinstance(value, (set, frozenset)):
            raise mismatch(self, value)
        # A set's own order depends on the process, and equal values need equal bytes for the cache.
        return self._list.pack(sorted(value, key=repr), data)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        # Plain data has no sets, so the declared type decides between set and frozenset.
        return self._class(self._list.unpack(plain, data))

    def schema(self) -> JsonSchema:
        return {**self._list.schema(), "uniqueItems": True}


class TuplePart(Codec):
    """Codec of a part of type tuple[A, B], written as a list of that length."""

    packs = True

    def __init__(
        self, python_type: Annotation, literal_type: LiteralType, items: "list[Codec]"
    ) -> None:
        super().__init__(python_type, literal_type)
        self._items = items

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if not isinstance(value, tuple) or len(value) != len(self._items):
            raise mismatch(self, value)
        return [item.pack(part, data) for item, part in zip(self._items, value, strict=True)]

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, list) or len(plain) != len(self._items):
            raise mismatch(self, plain)
        return tuple(item.unpack(part, data) for item, part in zip(self._items, plain, strict=True))

    def schema(self) -> JsonSchema:
        return {
            "type": "array",
            "prefixItems": [item.schema() for item in self._items],
            "minItems": len(self._items),
            "maxItems": len(self._items),
        }


class AnyList(Codec):
    """Codec of a part that is a list without an item type: any plain data."""

    packs = True

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if not isinstance(value, list):
            raise mismatch(self, value)
        return plain_data(value)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, list):
            raise mismatch(self, plain)
        return plain

    def schema(self) -> JsonSchema:
        return {"type": "array"}


def struct_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `dict`, or of `dict[K, V]` whose keys are not text.

    Raises:
        CodecError: when keys or values cannot be plain data.
    """
    arguments = typing.get_args(python_type)
    if len(arguments) != 2 or any(isinstance(part, typing.TypeVar) for part in arguments):
        return StructCodec(python_type)
    key, item = (part_codec(part, registry) for part in arguments)
    return StructCodec(python_type, key, item)


def part_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of a field of a dataclass, or of a key or value of a struct.

    It differs from `registry.codec` for the types that a struct can hold and an input cannot (bytes, tuple,
    set, list without a type, enums of numbers), and refuses what only a literal of its own can hold.

    Raises:
        CodecError: when values of the type cannot be plain data.
    """
    origin: Any = typing.get_origin(python_type)
    arguments = typing.get_args(python_type)
    if python_type is Any or python_type is object:
        return AnyPart()
    # As an input of their own bytes are pickled, so the quiet registry is asked: here nothing is pickled.
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
    # `tuple[int, ...]` has no fixed length, so it goes on to the registry, which refuses tuples.
    if origin is tuple and arguments and Ellipsis not in arguments:
        items = [part_codec(part, registry) for part in arguments]
        return TuplePart(python_type, msgpack_struct(), items)
    if origin is typing.Union or origin is types.UnionType:
        from flyte_nb.types.unions import UnionCodec  # only structs with unions need it

        return UnionCodec(python_type, [part_codec(part, registry) for part in arguments])
    if isinstance(python_type, type) and "enum" in sys.modules:
        from flyte_nb.types.enums import EnumCodec  # where no Enum can be, it is not loaded

        if issubclass(python_type, sys.modules["enum"].Enum):
            return EnumCodec(python_type)
    # Scalars, times, files, dataclasses and Literal[…] are the same in a struct. All others are refused here
    # and not when a value comes, so that the dataclass around them is pickled as a whole.
    codec = registry.codec(python_type)
    if not codec.packs:
        raise CodecError(f"{spell(python_type)} cannot be part of a struct.")
    return codec


def _pickles() -> Codec:
    from flyte_nb.types.pickles import PickleCodec  # few dicts are pickled

    return PickleCodec(dict)


def _unpickled(literal: Literal, data: "DataAccess | None") -> object:
    """Return the dict in the pickle that the literal names."""
    uri = literal.value.get(_PICKLE_FILE) if isinstance(literal.value, dict) else None
    if not isinstance(uri, str):
        raise CodecError("The dict is marked as a pickle and names no file.")
    return _pickles().decode(Literal(literals.BLOB, (uri, BlobType("PythonPickle"))), data)


def _read_key(codec: Codec, key: object, data: "DataAccess | None") -> Any:
    """Return a key as its type wants it.

    JSON has text keys only, so a key that a console or a JSON struct sent as `"1"` is an int here.
    """
    try:
        return codec.unpack(key, data)
    except CodecError:
        if not isinstance(key, str):
            raise
        # The suggestion for messages is right here: a text key means what it spells.
        near = codec.nearest(key)
        if near is None:
            raise
        return near
