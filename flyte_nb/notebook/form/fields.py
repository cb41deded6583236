"""One field of the launch form, without any widget: its kind, its text, its value, its message."""

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

TEXT, CHOICE, SWITCH, AREA, VARIABLE = "text", "choice", "switch", "area", "variable"


class Field(NamedTuple):
    """One input of what is launched."""

    name: str
    type: LiteralType
    codec: Any
    """The `types` codec of the input."""
    required: bool
    default: Any = None
    description: str = ""
    spelled: str = ""
    """The type as the author wrote it."""

    @property
    def kind(self) -> str:
        """Which widget fits: `text`, `choice`, `switch`, `area` or `variable`."""
        type = self._bare_type
        if type.kind == lt.ENUM or (is_simple(type, lt.BOOLEAN) and self.optional):
            return CHOICE
        if is_simple(type, lt.BOOLEAN):
            return SWITCH
        if type.kind in FRAMES or not _typeable(type):
            return VARIABLE
        plain = type.kind == lt.COLLECTION and type.value.kind in (lt.SIMPLE, lt.ENUM)
        structured = type.kind in (lt.COLLECTION, lt.MAP) or is_simple(type, lt.STRUCT)
        return AREA if structured and not plain else TEXT

    @property
    def optional(self) -> bool:
        """Whether an empty field is `None`."""
        return self.type.kind == lt.UNION and any(
            is_simple(variant, lt.NONE) for variant in self.type.value
        )

    @property
    def _bare_type(self) -> LiteralType:
        if self.optional:
            others = [v for v in self.type.value if not is_simple(v, lt.NONE)]
            if len(others) == 1:
                only: LiteralType = others[0]
                return only
        return self.type

    @property
    def choices(self) -> "tuple[str, ...]":
        """What a `choice` offers; an empty text is `None`."""
        type = self._bare_type
        values = ("true", "false") if is_simple(type, lt.BOOLEAN) else tuple(type.value)
        return ("", *values) if self.optional or self.required else values

    @property
    def caption(self) -> str:
        """The type in words for under the name, e.g. `list[int] · required`."""
        spoken = self.spelled or describe(self.type)
        return f"{spoken} · required" if self.required else spoken

    @property
    def placeholder(self) -> str:
        """What an empty field says."""
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
        """The default as text; empty without one, or for one that cannot be typed."""
        if self.required or self.default is None:
            return "false" if self.kind == SWITCH else ""
        try:
            return write(self.codec.encode(self.default, None), self.type)
        except (CodecError, StorageError):
            return ""

    def value(self, text: str, namespace: "Mapping[str, Any]") -> Any:
        """The input's value for what was typed.

        Raises:
            Unreadable: The text fits neither the type nor a variable; says why.
        """
        bare = text.strip()
        if not bare and self.required and not is_simple(self.type, lt.STRING):
            raise Unreadable("is required")
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
        """Return the input's value for what is written after `name=`.

        Raises:
            Unreadable: The text fits neither the type nor a variable; says why.
        """
        if not written.strip() and self.required and not is_simple(self.type, lt.STRING):
            raise Unreadable("is required")
        return value_of(written, self.codec, names)

    def text_of(self, written: str, names: Names) -> str:
        """Return what the form's field shows for what is written after `name=`."""
        try:
            value = self.given(written, names)
            text = write(self.codec.encode(value, None), self.type)
        except (Unreadable, CodecError, StorageError):
            return written
        return text or written

    def _variable(self, name: str, namespace: "Mapping[str, Any]") -> Any:
        if name in namespace:
            return self._checked(namespace[name]) if self._cheap_check else namespace[name]
        if self._bare_type.kind in FRAMES and _looks_like_place(name):
            return frame_from(name)
        raise Unreadable(
            f"there is no variable {name!r} in the notebook"
            if name.isidentifier()
            else "is no name"
        )

    @property
    def _cheap_check(self) -> bool:
        """Whether encoding a value needs no store, so that it may be tried while typing."""
        return self._bare_type.kind not in FRAMES and self._bare_type.kind != lt.BLOB

    def _checked(self, value: Any) -> Any:
        try:
            self.codec.encode(value, None)
        except CodecError as error:
            raise Unreadable(str(error)) from None
        return value


def fields_of(
    interface: TypedInterface, codecs: "Mapping[str, Any]", defaults: "Mapping[str, Any]"
) -> "tuple[Field, ...]":
    """One field for each input, in the order of the signature."""
    from flyte_nb.types.codec import spell

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


def frames(namespace: "Mapping[str, Any]") -> "dict[str, str]":
    """The notebook's data frames and arrays by name, with their shape, e.g. `7,043 × 21`."""
    found = {}
    for name, value in list(namespace.items()):
        if name.startswith("_") or isinstance(value, type):
            continue
        if f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}" in _FRAMES:
            shape = getattr(value, "shape", ())
            found[name] = " × ".join(f"{size:,}" for size in shape)
    return found


_MODULES = re.compile(r"\b\w+\.(?=\w)")
_FRAMES = frozenset({"pandas.DataFrame", "pyarrow.Table", "polars.DataFrame", "numpy.ndarray"})


def unknown_inputs(given: "Iterable[str]", fields: "Iterable[Field]") -> "tuple[str, ...]":
    """Names that were given and that no field has."""
    known = {field.name for field in fields}
    return tuple(name for name in given if name not in known)


def _typeable(type: LiteralType) -> bool:
    if type.kind in (lt.COLLECTION, lt.MAP):
        return _typeable(type.value)
    if type.kind == lt.UNION:
        return all(_typeable(variant) for variant in type.value)
    if type.kind == lt.BLOB:
        return type.value.format not in ("PythonPickle", "NumpyArray")
    if type.kind == lt.SIMPLE:
        return type.value not in (lt.BINARY, lt.ERROR)
    return type.kind == lt.ENUM


def _looks_like_place(text: str) -> bool:
    return "/" in text or "." in text
