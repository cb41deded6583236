"""Codecs for interfaces that were fetched from a backend, where no Python annotation is at hand.

A value is judged by what it holds, not by its class: an object of the user's own Enum or dataclass fits a
registered type when its values fit. A class that `guess` makes from the registered type would refuse it.
"""

# ruff: noqa: D102 - `Codec` documents these methods
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types as t
from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, NeedsStore, show, spell
from flyte_nb.types.frames import TableCodec
from flyte_nb.types.guess import guess
from flyte_nb.types.plain_data import plain_data, struct_literal

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry


def codec_for(type: LiteralType, registry: "Registry") -> Codec:
    """Return a codec that takes every Python value that fits the registered type.

    Raises:
        CodecError: when no Python type stands for `type` here, e.g. no library for tables is installed.
    """
    python_type = guess(type)
    codec = registry.quiet.codec(python_type)
    return ByValue(codec, type, registry) if _is_open(type) else codec


def _is_open(type: LiteralType) -> bool:
    """Return whether values of several classes fit: enums, structs, datasets, and what contains them."""
    if type.kind in (t.COLLECTION, t.MAP):
        return _is_open(type.value)
    if type.kind == t.UNION:
        return any(map(_is_open, type.value))
    if type.kind == t.SIMPLE:
        return bool(type.value == t.STRUCT)
    return type.kind in (t.ENUM, t.STRUCTURED_DATASET)


class ByValue(Codec):
    """Encodes any value that fits the registered type; decodes to the type that `guess` chose."""

    packs = True

    def __init__(self, guessed: Codec, type: LiteralType, registry: "Registry") -> None:
        super().__init__(guessed.python_type, type)
        self._guessed = guessed
        self._registry = registry

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        kind, inner = self.literal_type.kind, self.literal_type.value
        if kind == t.ENUM:
            return Literal(literals.STRING, _choice(value, inner))
        if kind == t.UNION:
            return self._variant(value, data)
        if kind == t.COLLECTION:
            return Literal(literals.COLLECTION, self._items(value, inner, data))
        if kind == t.MAP:
            return Literal(literals.MAP, self._entries(value, inner, data))
        if kind == t.STRUCTURED_DATASET:
            return self._dataset(value, data)
        return self._struct(value, data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        return self._guessed.decode(literal, data)

    def nearest(self, value: object) -> object:
        return None if self.literal_type.kind == t.ENUM else self._guessed.nearest(value)

    def _items(
        self, value: object, inner: LiteralType, data: "DataAccess | None"
    ) -> "list[Literal]":
        if not isinstance(value, list):
            raise _misfit(self.literal_type, value)
        item = codec_for(inner, self._registry)
        return [_below(f"[{at}]", item, each, data) for at, each in enumerate(value)]

    def _entries(
        self, value: object, inner: LiteralType, data: "DataAccess | None"
    ) -> "dict[str, Literal]":
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise _misfit(self.literal_type, value)
        item = codec_for(inner, self._registry)
        return {key: _below(f"[{key!r}]", item, each, data) for key, each in value.items()}

    def _variant(self, value: object, data: "DataAccess | None") -> Literal:
        failures = []
        for variant in self.literal_type.value:
            try:
                found = codec_for(variant, self._registry).encode(value, data)
            except CodecError as error:
                failures.append(error)
                continue
            return Literal(literals.UNION, (found, variant))
        # No variant fits. The one that got furthest into the value was most likely meant, so its error
        # helps most.
        raise max(failures, key=lambda error: len(error.path))

    def _dataset(self, value: object, data: "DataAccess | None") -> Literal:
        """Return the literal of a table of any library, or of a StructuredDataset."""
        codec = self._registry.quiet.codec(value.__class__)
        if not isinstance(codec, TableCodec):
            raise _misfit(self.literal_type, value)
        declared = self.literal_type.value
        shape = (declared.columns, declared.external_schema, declared.format)
        return codec.with_shape(*shape).encode(value, data)

    def _struct(self, value: object, data: "DataAccess | None") -> Literal:
        fields = self.literal_type.dataclass_type
        if isinstance(value, dict):
            # A dict is typed only where the registered type lists fields, i.e. where it was a dataclass.
            if fields is not None:
                self._check_fields(value, fields, set(fields) if _is_strict(self) else set())
            return struct_literal(plain_data(value))
        codec = self._registry.quiet.codec(type(value))
        if codec.literal_type.kind != t.SIMPLE or codec.literal_type.value != t.STRUCT:
            raise _misfit(self.literal_type, value)
        if fields is not None:
            held = {name: getattr(value, name) for name in codec.literal_type.dataclass_type or {}}
            self._check_fields(held, fields, set(fields))
        return codec.encode(value, data)

    def _check_fields(
        self, value: "dict[str, Any]", fields: "dict[str, LiteralType]", wanted: "set[str]"
    ) -> None:
        """Check each field of a dataclass against its registered type.

        Args:
            value: values by field name.
            fields: the registered type of every field.
            wanted: the fields that must be there, unless the registered JSON schema does not require them.

        Raises:
            CodecError: when a field is missing, unknown, or holds a value that does not fit.
        """
        required = set((self.literal_type.metadata or {}).get("required", wanted)) & wanted
        missing = sorted(required - value.keys())
        unknown = sorted(value.keys() - fields.keys())
        faults = [f"lacks {', '.join(missing)}"] if missing else []
        if unknown:
            faults.append(f"has {', '.join(unknown)}, which the registered type does not have")
        if faults:
            raise CodecError(
                f"{show(value)} {' and '.join(faults)}.",
                hint=f"Its fields are: {', '.join(fields)}.",
            )
        for name, part in value.items():
            try:
                _below(f".{name}", codec_for(fields[name], self._registry), part, None)
            except NeedsStore:
                continue  # The value fits. Its file is uploaded when the whole value is encoded.


def _is_strict(codec: ByValue) -> bool:
    """Return whether the registered type lists required fields."""
    return bool((codec.literal_type.metadata or {}).get("required"))


def _below(step: str, codec: Codec, value: object, data: "DataAccess | None") -> Literal:
    try:
        return codec.encode(value, data)
    except CodecError as error:
        raise error.below(step) from None


def _choice(value: object, choices: "tuple[str, ...]") -> str:
    """Return the text of an Enum's member, or the text itself.

    Raises:
        CodecError: when it is not one of `choices`.
    """
    text = getattr(value, "value", value)
    if isinstance(text, str) and text in choices:
        return text
    raise CodecError(
        f"{show(value)} is none of the registered values.",
        hint=f"Write {' or '.join(map(repr, choices))}.",
    )


def _misfit(type: LiteralType, value: object) -> CodecError:
    return CodecError(f"Expected {describe(type)}, got {spell(value.__class__)} {show(value)}.")
