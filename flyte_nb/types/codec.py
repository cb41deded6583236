"""The base class of all codecs, and the texts of the errors that they share.

A codec converts the values of one Python type. It has two ways out, because Flyte has two:

- `encode` and `decode`: an input or output of its own, as a `Literal`;
- `pack` and `unpack`: a part of a struct (a field of a dataclass, a value of a dict), as plain data that
  travels as msgpack. flytekit leaves these to mashumaro, and what it writes is what `pack` returns.

Values and annotations can be anything, so `python_type` and decoded values are typed `Any`. Values that a
codec is given are `object`: nothing may be called on them before their type was checked.
"""

from typing import Any, TypeAlias

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess

Annotation: TypeAlias = Any
"""A type as its author wrote it: a class, or a construct of `typing`. No static type describes both."""

Table: TypeAlias = Any
"""A table of pandas, pyarrow or polars; they have no type in common."""

JsonSchema: TypeAlias = dict[str, Any]
"""A JSON schema, or a part of one."""

_SHOWN = 60  # characters of a value that a message shows


class PickledTypeWarning(UserWarning):
    """Warns that values of a type are pickled; another minor version of Python may not read them."""


class NeedsStore(CodecError):
    """Raised for a value that fits its type but has to be stored as a file where there is no store.

    Callers that only check values (launch forms, defaults) take it for success.
    """

    def below(self, step: str) -> "NeedsStore":
        """Return the same error seen from one container further out; see `CodecError.below`."""
        return NeedsStore(self.bare_message, path="$" + step + self.path[1:], hint=self.hint)


class Codec:
    """Converts the values of one Python type to literals and back.

    A codec has no state of its own: threads and sessions share it. Files move through the `data` of each
    call, which is `None` where there is no store, e.g. while a workflow is traced.
    """

    transformer = ""
    """The name of flytekit's transformer for this type. Flyte tells a union's variants apart by it."""

    column_kind = ""
    """The literal kind of the elements, where a list of this type is a `COLUMN`; empty where it is not."""

    packs = False
    """Whether values can be part of a struct, i.e. whether `pack` works."""

    takes_generators = False
    """Whether a function with `yield` may return values of this type."""

    imports: "tuple[str, ...]" = ()
    """Modules that reading and writing import besides the type's own, e.g. `pyarrow` for data frames."""

    def __init__(self, python_type: Annotation, literal_type: LiteralType) -> None:
        self.python_type: Any = python_type
        self.literal_type = literal_type

    @property
    def variants(self) -> "tuple[Codec, ...]":
        """The codecs of a union's variants; this codec alone for every other type."""
        return (self,)

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Return the value as a literal.

        Args:
            value: any object; it is never changed.
            data: uploads the files that the value needs; `None` where there is no store.

        Raises:
            CodecError: when the value does not fit the type; `path` is its place in the value.
            NeedsStore: when the value needs a file and `data` is `None`.
        """
        raise NotImplementedError

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        """Return the Python value of `literal`.

        Args:
            literal: never changed, but a decoded struct may share its plain data.
            data: downloads files; `None` where there is no store.

        Raises:
            CodecError: when the literal is of another type.
            NeedsStore: when the value is in a file and `data` is `None`.
        """
        # Overriding methods read the kinds of their own type and leave these two cases to this one.
        # A promise `rows[0].name` points into a struct, so plain data arrives where a literal was expected.
        if literal.kind == literals.STRUCT:
            return self.unpack(literal.value, data)
        # Flyte lets a union be bound to an input that takes each of its variants.
        if literal.kind == literals.UNION:
            return self.decode(literal.value[0], data)
        raise unexpected(self, literal)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        """Return the value as plain data inside a struct, equal to what flytekit's msgpack holds.

        Raises:
            CodecError: when the value does not fit, or values of this type cannot be part of a struct.
            NeedsStore: when the value needs a file and `data` is `None`.
        """
        raise CodecError(
            f"{spell(self.python_type)} cannot be part of a dataclass or an untyped dict.",
            hint="Pass it as an input or output of its own, or as a FlyteFile.",
        )

    def unpack(self, plain: object, data: "DataAccess | None") -> Any:
        """Return the Python value that `pack` converted.

        Raises:
            CodecError: when `plain` does not fit, or values of this type cannot be part of a struct.
        """
        raise CodecError(
            f"{spell(self.python_type)} cannot be read from a dataclass or an untyped dict."
        )

    def schema(self) -> JsonSchema:
        """Return the JSON schema that flytekit (through mashumaro) writes for a field of this type."""
        return {}

    def nearest(self, value: object) -> object:
        """Return the value of this type that the author probably meant by `value`, or `None`.

        Error messages suggest it; nothing is converted silently.
        """
        return None

    def accepts_exactly(self, value: object) -> bool:
        """Return whether a union should choose this variant for `value` before it tries conversions."""
        return type(value) is self.python_type


def mismatch(codec: Codec, value: object) -> CodecError:
    """Return the error for a value that is not of the codec's type; its hint suggests what would fit."""
    near = codec.nearest(value)
    hint = f"Write {near!r}." if near is not None else ""
    if redefined(codec.python_type, value):
        hint = (
            f"{spell(codec.python_type)} was defined again since: run the cells of the tasks that name it"
            " again, and create the value again."
        )
    got = "None" if value is None else f"{spell(type(value))} {show(value)}"
    return CodecError(f"Expected {spell(codec.python_type)}, got {got}.", hint=hint)


def redefined(python_type: object, value: object) -> bool:
    """Return whether the value's class is an earlier definition of `python_type`.

    Running a notebook's cell again creates a second class of the same name. Objects made before belong to
    the first one, which is confusing unless the error explains it.
    """
    kind = type(value)
    return (
        isinstance(python_type, type)
        and kind is not python_type
        and (kind.__module__, kind.__qualname__)
        == (python_type.__module__, python_type.__qualname__)
    )


def unexpected(codec: Codec, literal: Literal) -> CodecError:
    """Return the error for a literal that is not of the codec's type."""
    return CodecError(
        f"Expected {describe(codec.literal_type)} for {spell(codec.python_type)},"
        f" got a literal of kind {literal.kind}."
    )


def no_data(codec: Codec) -> NeedsStore:
    """Return the error for a value that needs a store where there is none, e.g. while tracing."""
    return NeedsStore(
        f"{spell(codec.python_type)} has to be stored first, and there is no store here.",
        hint="Make it an input of the workflow, or let a task return it.",
    )


def show(value: object) -> str:
    """Return the value's repr, shortened for a message. A repr that raises never hides the error."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - any repr may be broken
        return f"<repr failed: {type(error).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def spell(python_type: object) -> str:
    """Return the Python type as a person writes it, e.g. `list[int]`, `pandas.DataFrame`."""
    if python_type is None or python_type is type(None):
        return "None"
    if not isinstance(python_type, type) or hasattr(python_type, "__origin__"):
        return str(python_type).replace("typing.", "").replace("NoneType", "None")
    module = python_type.__module__
    name = python_type.__qualname__.rpartition("<locals>.")[2]
    if module in ("builtins", "__main__") or module.startswith("flyte_nb."):
        return name
    return f"{module.partition('.')[0] if '.' in module else module}.{name}"
