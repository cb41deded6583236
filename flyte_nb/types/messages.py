"""protobuf messages as structs, by their JSON form (flytekit's `Protobuf-Transformer`).

protobuf is imported inside the methods, which only run where the user's code has messages.
"""

# ruff: noqa: D102 - `Codec` documents these methods
from importlib import import_module
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, spell
from flyte_nb.types.plain_data import plain_struct


class MessageCodec(Codec):
    """Codec of one class of messages. Its literal is a `google.protobuf.Struct`."""

    transformer = "Protobuf-Transformer"
    imports = ("google.protobuf",)

    def __init__(self, python_type: Annotation) -> None:
        metadata = {"pb_type": f"{python_type.__module__}.{python_type.__name__}"}
        struct = LiteralType(literal_types.SIMPLE, literal_types.STRUCT, metadata=metadata)
        super().__init__(python_type, struct)
        self._is_list = python_type.DESCRIPTOR.full_name == "google.protobuf.ListValue"

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Return the message as a struct; a `google.protobuf.ListValue` as a collection, as flytekit has it.

        Raises:
            CodecError: when the value is another message, or its JSON form is no object or loses something.
        """
        if not isinstance(value, self.python_type):
            raise mismatch(self, value)
        json_format = import_module("google.protobuf.json_format")
        try:
            plain = json_format.MessageToDict(value)
        except json_format.Error as error:
            raise CodecError(f"The {spell(self.python_type)} has no JSON form: {error}.") from error
        if self._is_list:
            return _literal(plain)
        if not isinstance(plain, dict):
            raise CodecError(
                f"The JSON form of {spell(self.python_type)} is {type(plain).__name__}, and Flyte's"
                " structs are objects.",
                hint="Put it into a field of another message.",
            )
        # JSON silently drops unknown fields, so the message is read back and compared.
        self._check_nothing_lost(value, plain)
        return Literal(literals.GENERIC, plain)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the message that has the struct's fields.

        Raises:
            CodecError: when the literal is no struct, or has a field or value that the message has not.
        """
        # Of the base class's cases only the union remains: a struct is what this codec reads.
        if literal.kind == literals.UNION:
            return self.decode(literal.value[0], data)
        if self._is_list and literal.kind in (literals.COLLECTION, literals.COLUMN):
            return self._parsed(_plain(literal))
        struct = plain_struct(literal)
        return super().decode(literal, data) if struct is None else self._parsed(struct[0])

    def _parsed(self, plain: object) -> object:
        json_format = import_module("google.protobuf.json_format")
        message: object = self.python_type()
        try:
            json_format.ParseDict(plain, message)
        except json_format.ParseError as error:
            raise CodecError(
                f"The struct does not fit {spell(self.python_type)}: {error}."
            ) from error
        return message

    def _check_nothing_lost(self, value: Any, plain: object) -> None:
        """Raise where the JSON form lacks something, e.g. fields that the class does not know."""
        again: Any = self._parsed(plain)
        # Deterministic, because the bytes of a map field otherwise have no fixed order.
        if again.SerializeToString(deterministic=True) != value.SerializeToString(
            deterministic=True
        ):
            raise CodecError(
                f"The {spell(self.python_type)} has content that its JSON form does not hold, e.g."
                " fields of a newer version of the message.",
                hint="Write its SerializeToString() to a file and pass a FlyteFile.",
            )

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, self.python_type)


def _literal(plain: object) -> Literal:
    """Return plain JSON data as a literal, item by item."""
    if isinstance(plain, list):
        return Literal(literals.COLLECTION, [_literal(item) for item in plain])
    if isinstance(plain, dict):
        return Literal(literals.GENERIC, plain)
    if plain is None:
        return literals.NOTHING
    for kind, python_type in _SCALARS:
        if isinstance(plain, python_type):
            return Literal(kind, plain)
    raise CodecError(f"{plain!r} is not JSON data.")


_SCALARS = (
    (literals.BOOLEAN, bool),  # before the numbers: to Python, True is an int
    (literals.FLOAT, float),
    (literals.INTEGER, int),
    (literals.STRING, str),
)


def _plain(literal: Literal) -> object:
    """Return the JSON data that `_literal` converted."""
    kind, value = literal.kind, literal.value
    if kind == literals.COLLECTION:
        return [_plain(item) for item in value]
    # A list of scalars arrives as a column, which holds its values without a literal for each.
    return list(value[1]) if kind == literals.COLUMN else value
