"""One field of the launch form, without any widget: its kind, its text, its value, its message.

A field holds text, whatever its type. The text of a default is what a person would type for it, so a form
that nobody touched launches with the defaults.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api import literal_types as lt
from flyte_nb.api.errors import CodecError, StorageError
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.specs import TypedInterface
from flyte_nb.executions.field_text import Unreadable, is_simple, read, write
from flyte_nb.executions.values_from_data import FRAMES
from flyte_nb.executions.written import Names, frame_from, value_of
from flyte_nb.types.codec import Codec, spell

TEXT, CHOICE, SWITCH, AREA, VARIABLE = "text", "choice", "switch", "area", "variable"
"""Kinds of fields: one line, a list to choose from, a checkbox, several lines, the name of a variable."""


class Field(NamedTuple):
    """One input of the entity that is launched."""

    name: str
    type: LiteralType
    codec: Codec
    """The input's codec (`types.codec`)."""
    required: bool
    default: Any = None
    description: str = ""
    spelled: str = ""
    """The type as the author wrote it."""

    @property
    def kind(self) -> str:
        """Return which widget fits: `text`, `choice`, `switch`, `area` or `variable`."""
        type = self._bare_type
        # A checkbox has two states, and an optional boolean has three.
        if type.kind == lt.ENUM or (is_simple(type, lt.BOOLEAN) and self.optional):
            return CHOICE
        if is_simple(type, lt.BOOLEAN):
            return SWITCH
        if type.kind in FRAMES or not _typeable(type):
            return VARIABLE
        # A list of plain values is typed on one line, with commas. Everything nested is YAML or JSON.
        plain = type.kind == lt.COLLECTION and type.value.kind in (lt.SIMPLE, lt.ENUM)
        structured = type.kind in (lt.COLLECTION, lt.MAP) or is_simple(type, lt.STRUCT)
        return AREA if structured and not plain else TEXT

    @property
    def optional(self) -> bool:
        """Return whether the input may be `None`, which an empty field then means."""
        return self.type.kind == lt.UNION and any(
            is_simple(variant, lt.NONE) for variant in self.type.value
        )

    @property
    def _bare_type(self) -> LiteralType:
        """Return the type without `None`, if only one type is left then."""
        if self.optional:
            others = [v for v in self.type.value if not is_simple(v, lt.NONE)]
            if len(others) == 1:
                only: LiteralType = others[0]
                return only
        return self.type

    @property
    def choices(self) -> "tuple[str, ...]":
        """Return the texts that a `choice` offers; an empty one is `None`, or nothing chosen yet."""
        type = self._bare_type
        values = ("true", "false") if is_simple(type, lt.BOOLEAN) else tuple(type.value)
        # A required field must not have a value that nobody chose.
        return ("", *values) if self.optional or self.required else values

    @property
    def caption(self) -> str:
        """Return the type in words, which stands below the name, e.g. `list[int] · required`."""
        spoken = self.spelled or describe(self.type)
        return f"{spoken} · required" if self.required else spoken

    @property
    def placeholder(self) -> str:
        """Return the hint that an empty field shows."""
        if self.kind == VARIABLE:
            frame = self._bare_type.kind in FRAMES
            return "a frame in the notebook, a path or a URI" if frame else "the name of a variable"
        hints = {
            lt.DATETIME: "2026-11-01 09:30 UTC",
            lt.DURATION: "90s, 1h30m or 1:30:00",
        }
        type = self._bare_type
        if type.kind == lt.COLLECTION:
            return "separated by commas" if self.kind == TEXT else "YAML or JSON"
        if type.kind == lt.BLOB:
            return "a path or a URI"
        return hints.get(type.value, "") if type.kind == lt.SIMPLE else ""

    def initial(self) -> str:
        """Return the default as text; empty if there is none, or if it cannot be written as text."""
        if self.required or self.default is None:
            return "false" if self.kind == SWITCH else ""
        try:
            return write(self.codec.encode(self.default, None), self.type)
        except (CodecError, StorageError):
            return ""

    def value(self, text: str, namespace: "Mapping[str, object]") -> Any:
        """Return the input's value for a text that was typed into the field.

        Args:
            text: What is in the field.
            namespace: The notebook's variables. A text that does not fit the type may name one of them.

        Raises:
            Unreadable: The text fits neither the type nor a variable. The message says why.
        """
        bare = text.strip()
        if not bare and self.required and not is_simple(self.type, lt.STRING):
            raise Unreadable("is required")
        # The default itself: reading its text again could lose digits, or is not possible at all.
        if text == self.initial() and not self.required:
            return self.default
        if self.kind == VARIABLE and (bare or not self.optional):
            return self._variable(bare, namespace)
        try:
            return self.codec.decode(read(text, self.type), None)
        except Unreadable as error:
            if bare.isidentifier() and bare in namespace and not bare.startswith("_"):
                return self._checked(namespace[bare])
            raise error
        except CodecError as error:
            raise Unreadable(str(error)) from None

    def given(self, written: str, names: Names) -> Any:
        """Return the input's value for what is written after `name=` in a magic's line.

        Raises:
            Unreadable: The text fits neither the type nor a variable. The message says why.
        """
        if not written.strip() and self.required and not is_simple(self.type, lt.STRING):
            raise Unreadable("is required")
        return value_of(written, self.codec, names)

    def text_of(self, written: str, names: Names) -> str:
        """Return the field's text for what is written after `name=`: the value as one would type it."""
        try:
            value = self.given(written, names)
            text = write(self.codec.encode(value, None), self.type)
        except (Unreadable, CodecError, StorageError):
            return written
        return text or written

    def _variable(self, name: str, namespace: "Mapping[str, object]") -> Any:
        if name in namespace:
            return self._checked(namespace[name]) if self._cheap_check else namespace[name]
        if self._bare_type.kind in FRAMES and _looks_like_place(name):
            return frame_from(name)
        raise Unreadable(
            f"there is no variable {name!r} in the notebook"
            if name.isidentifier()
            else f"{name!r} is not the name of a variable"
        )

    @property
    def _cheap_check(self) -> bool:
        """Return whether encoding stores nothing, so that it may be tried at each key that is typed."""
        return self._bare_type.kind not in FRAMES and self._bare_type.kind != lt.BLOB

    def _checked(self, value: Any) -> Any:
        """Return the value if it fits the type, which encoding it finds out."""
        try:
            self.codec.encode(value, None)
        except CodecError as error:
            raise Unreadable(str(error)) from None
        return value


def fields_of(
    interface: TypedInterface, codecs: "Mapping[str, Codec]", defaults: "Mapping[str, object]"
) -> "tuple[Field, ...]":
    """Return one field for each input, in the order of the signature.

    Args:
        interface: Of the entity that is launched.
        codecs: The codec of each input.
        defaults: Python values of the inputs that have one; the others are required.
    """
    return tuple(
        Field(
            name,
            variable.type,
            codecs[name],
            required=name not in defaults,
            default=defaults.get(name),
            description=variable.description,
            spelled=_MODULES.sub("", spell(codecs[name].python_type)),
        )
        for name, variable in interface.inputs.items()
    )


def frames(namespace: "Mapping[str, object]") -> "dict[str, str]":
    """Return the shapes of the notebook's data frames and arrays by variable, e.g. `7,043 × 21`."""
    found = {}
    for name, value in list(namespace.items()):
        if name.startswith("_") or isinstance(value, type):
            continue
        # By name, because none of these libraries has to be installed.
        if f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}" in _FRAMES:
            shape = getattr(value, "shape", ())
            found[name] = " × ".join(f"{size:,}" for size in shape)
    return found


_MODULES = re.compile(r"\b\w+\.(?=\w)")
"""The modules in a type's spelling, which are left out of captions: `pandas.DataFrame` → `DataFrame`."""
_FRAMES = frozenset({"pandas.DataFrame", "pyarrow.Table", "polars.DataFrame", "numpy.ndarray"})


def unknown_inputs(given: "Iterable[str]", fields: "Iterable[Field]") -> "tuple[str, ...]":
    """Return the given names that no field has, in the order given."""
    known = {field.name for field in fields}
    return tuple(name for name in given if name not in known)


def _typeable(type: LiteralType) -> bool:
    """Return whether a person can write a value of the type as text."""
    if type.kind in (lt.COLLECTION, lt.MAP):
        return _typeable(type.value)
    if type.kind == lt.UNION:
        return all(_typeable(variant) for variant in type.value)
    if type.kind == lt.BLOB:
        return type.value.format not in {"PythonPickle", "NumpyArray", *lt.OBJECT_FORMATS}
    if type.kind == lt.SIMPLE:
        return type.value not in (lt.BINARY, lt.ERROR)
    return type.kind == lt.ENUM


def _looks_like_place(text: str) -> bool:
    return "/" in text or "." in text
