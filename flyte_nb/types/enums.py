"""Codecs of Enum classes and of typing.Literal: types with a few values."""

# ruff: noqa: D102 - `Codec` documents these methods
import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import (
    Annotation,
    Codec,
    JsonSchema,
    mismatch,
    redefined,
    show,
    spell,
)
from flyte_nb.types.scalars import ScalarCodec

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


class EnumCodec(Codec):
    """Codec of an Enum class. A literal holds the member's value."""

    transformer = "DefaultEnumTransformer"
    packs = True

    def __init__(self, python_type: Annotation) -> None:
        self._values = [member.value for member in python_type]
        super().__init__(python_type, LiteralType(literal_types.ENUM, tuple(self._values)))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return Literal(literals.STRING, self._member(value).value)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.STRING:
            return self._member(literal.value)
        return super().decode(literal, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return self._member(value).value

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return self._member(plain)

    def schema(self) -> JsonSchema:
        return {"enum": list(self._values)}

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, self.python_type)

    def _member(self, value: object) -> Any:
        if isinstance(value, self.python_type):
            return value
        try:
            # Flyte's console and our forms send the member's value.
            return self.python_type(value)
        except ValueError:
            pass
        # A member of the enum as its cell defined it before has a clearer error.
        if redefined(self.python_type, value):
            raise mismatch(self, value)
        raise CodecError(
            f"{show(value)} is not a member of {spell(self.python_type)}.",
            hint=f"Write {_one_of(self.python_type.__name__, list(self.python_type))}.",
        )


class ChoiceCodec(Codec):
    """Codec of typing.Literal["a", "b"]: the listed values of one simple type, and no others."""

    transformer = "LiteralTypeTransformer"
    packs = True

    def __init__(
        self, python_type: Annotation, base: ScalarCodec, values: "tuple[Any, ...]"
    ) -> None:
        simple = base.literal_type._replace(annotation={"literal_values": list(values)})
        super().__init__(python_type, simple)
        self._base = base
        self._values = values

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return self._base.encode(self._known(value), data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        return self._known(self._base.decode(literal, data))

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return self._base.pack(self._known(value), data)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return self._known(self._base.unpack(plain, data))

    def schema(self) -> JsonSchema:
        return {"enum": list(self._values)}

    def accepts_exactly(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self._values)

    def _known(self, value: object) -> Any:
        plain = self._base.check(value)
        if plain in map(self._base.check, self._values):
            return value
        shown = " or ".join(map(repr, self._values))
        raise CodecError(f"{show(value)} is not one of the values.", hint=f"Write {shown}.")


def enum_codec(python_type: Annotation) -> Codec:
    """Return the codec of an Enum as an input or output.

    Raises:
        CodecError: when the Enum has no members, or a value that is not text: Flyte's enums hold text only.
    """
    values = [member.value for member in python_type]
    if not values:
        raise CodecError(f"{spell(python_type)} has no members.", hint="Add one.")
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None:
        raise CodecError(
            f"{spell(python_type)} has the value {show(wrong)}, and Flyte's enums hold text only.",
            hint=f"Write {str(wrong)!r}, or take the enum as a field of a dataclass.",
        )
    return EnumCodec(python_type)


def choice_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `typing.Literal[…]`.

    Raises:
        CodecError: when its values have several types, or a type that is not simple.
    """
    values = typing.get_args(python_type)
    kinds = {type(value) for value in values}
    base = registry.codec(kinds.pop()) if len(kinds) == 1 else None
    if not isinstance(base, ScalarCodec):
        raise CodecError(
            f"{spell(python_type)} mixes types.", hint="Give all values one type, e.g. str."
        )
    return ChoiceCodec(python_type, base, values)


def _one_of(name: str, members: "list[Any]") -> str:
    shown = [f"{name}.{member.name}" for member in members]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]
