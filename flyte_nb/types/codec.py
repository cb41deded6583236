"""What a codec is: one Python type's way to Flyte's literal and back.

A codec also packs its values into structs (fields of dataclasses, values of dicts), where flytekit
writes them through mashumaro and msgpack; `pack` and `unpack` make and read that plain data.
"""

# ruff: noqa: D102 - overriding methods are documented where they are first
from typing import Any

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess

_SHOWN = 60  # characters of a value that a message shows


class PickledTypeWarning(UserWarning):
    """Values of a type travel by pickle; another Python minor version may not read them."""


class NeedsStore(CodecError):
    """The value fits, but it is kept in a file, and there is no store to put it in."""

    def below(self, step: str) -> "NeedsStore":
        return NeedsStore(self.bare_message, path="$" + step + self.path[1:], hint=self.hint)


class Codec:
    """Encodes and decodes the values of one Python type."""

    transformer = ""
    """The name of flytekit's transformer for this type; a union's variants are told apart by it."""

    column_kind = ""
    """The literal kind of the elements when a list of this type can be a `COLUMN`; else empty."""

    packs = False
    """Whether values can be part of a struct."""

    imports: "tuple[str, ...]" = ()
    """Modules that reading and writing need, beside those of the type itself."""

    def __init__(self, python_type: Any, literal_type: LiteralType) -> None:
        self.python_type = python_type
        self.literal_type = literal_type

    @property
    def variants(self) -> "tuple[Codec, ...]":
        """The codecs of which one takes the value: those of a union's types, else this alone."""
        return (self,)

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        """The value as a literal; files that it needs are uploaded through `data`.

        Raises:
            CodecError: when the value does not fit the type.
        """
        raise NotImplementedError

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        """The value in `literal`; files that it needs are downloaded through `data`.

        Raises:
            CodecError: when the literal is of another type.
        """
        if literal.kind == literals.STRUCT:  # an attribute path led into a struct
            return self.unpack(literal.value, data)
        if literal.kind == literals.UNION:  # a union upstream whose variant fits here
            return self.decode(literal.value[0], data)
        raise unexpected(self, literal)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        """The value as plain data inside a struct, as flytekit's msgpack has it."""
        raise CodecError(
            f"{spell(self.python_type)} cannot be part of a dataclass or an untyped dict.",
            hint="Pass it as an input or output of its own, or as a FlyteFile.",
        )

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        """The value that `pack` made plain."""
        raise CodecError(
            f"{spell(self.python_type)} cannot be read from a dataclass or an untyped dict."
        )

    def schema(self) -> "dict[str, Any]":
        """The JSON schema that flytekit (through mashumaro) writes for this type in a dataclass."""
        return {}

    def nearest(self, value: Any) -> Any:
        """A value of this type that the author probably meant by `value`, or `None`."""
        return None

    def accepts_exactly(self, value: Any) -> bool:
        """Whether a union should choose this variant for `value` before trying conversions."""
        return type(value) is self.python_type


def mismatch(codec: Codec, value: Any) -> CodecError:
    """The error for a value that is not of the codec's type, with the nearest thing that works."""
    near = codec.nearest(value)
    hint = f"Write {near!r}." if near is not None else ""
    if redefined(codec.python_type, value):
        hint = (
            f"{spell(codec.python_type)} was defined anew in between: run the cells of the tasks that"
            " name it again, and make the value anew."
        )
    got = "None" if value is None else f"{spell(type(value))} {show(value)}"
    return CodecError(f"Expected {spell(codec.python_type)}, got {got}.", hint=hint)


def redefined(python_type: Any, value: Any) -> bool:
    """Whether the value is of an earlier definition of the class, from before its cell was run again."""
    kind = type(value)
    return (
        isinstance(python_type, type)
        and kind is not python_type
        and (kind.__module__, kind.__qualname__)
        == (python_type.__module__, python_type.__qualname__)
    )


def unexpected(codec: Codec, literal: Literal) -> CodecError:
    """The error for a literal that is not of the codec's type."""
    return CodecError(
        f"Expected {describe(codec.literal_type)} for {spell(codec.python_type)},"
        f" got a literal of kind {literal.kind}."
    )


def no_data(codec: Codec) -> NeedsStore:
    """The error for a value that needs a store where there is none, e.g. while a workflow is traced."""
    return NeedsStore(
        f"{spell(codec.python_type)} has to be stored first, and there is no store here.",
        hint="Make it an input of the workflow, or let a task return it.",
    )


def show(value: Any) -> str:
    """The value's repr, shortened for a message; a broken repr never hides the error."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - any repr may be broken
        return f"<repr failed: {type(error).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def spell(python_type: Any) -> str:
    """The Python type as a person writes it, e.g. `list[int]`, `pandas.DataFrame`."""
    if python_type is None or python_type is type(None):
        return "None"
    if not isinstance(python_type, type) or hasattr(python_type, "__origin__"):
        return str(python_type).replace("typing.", "").replace("NoneType", "None")
    module = python_type.__module__
    name = python_type.__qualname__.rpartition("<locals>.")[2]
    if module in ("builtins", "__main__") or module.startswith("flyte_nb."):
        return name
    return f"{module.partition('.')[0] if '.' in module else module}.{name}"
