"""Dataclasses: structs with a JSON schema, their fields known to Flyte by type."""

# ruff: noqa: D102 - `Codec` says what these methods do
import sys
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, NeedsStore, mismatch, spell
from flyte_nb.types.containers import msgpack_struct
from flyte_nb.types.structs import part_codec, plain_struct, struct_literal

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


class _Field(NamedTuple):
    name: str
    codec: Codec
    init: bool
    default: Any  # dataclasses.MISSING without one
    required: bool


class DataclassCodec(Codec):
    """A dataclass. Its values are taken field by field and never changed."""

    transformer = "Object-Dataclass-Transformer"
    packs = True

    def __init__(
        self, python_type: Any, fields: "list[_Field]", types: "dict[str, LiteralType]"
    ) -> None:
        self._fields = fields
        super().__init__(python_type, msgpack_struct())
        self.literal_type = msgpack_struct(self.schema(), types)

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        return struct_literal(self.pack(value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        plain = plain_struct(literal)
        return super().decode(literal, data) if plain is None else self.unpack(plain[0], data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        if isinstance(value, dict):  # as flytekit: a dict with the fields will do
            value = self.unpack(value, data)
        elif not self._is_whole(value):
            raise mismatch(self, value)
        done = {}
        for field in self._fields:
            try:
                done[field.name] = field.codec.pack(getattr(value, field.name), data)
            except CodecError as error:
                raise error.below(f".{field.name}") from None
        return done

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        given: dict[str, Any] = {}
        later: dict[str, Any] = {}
        for field in self._fields:
            if field.name not in plain:
                if field.required:
                    raise CodecError(
                        f"{spell(self.python_type)} has no value for its field {field.name}."
                    )
                continue
            try:
                value = field.codec.unpack(plain[field.name], data)
            except CodecError as error:
                raise error.below(f".{field.name}") from None
            (given if field.init else later)[field.name] = value
        made = self.python_type(**given)
        for name, value in later.items():
            object.__setattr__(made, name, value)
        return made

    def schema(self) -> "dict[str, Any]":
        missing = sys.modules["dataclasses"].MISSING
        properties = {}
        wrong: list[tuple[_Field, CodecError]] = []
        for field in self._fields:
            described = field.codec.schema()
            if field.default is not missing:
                try:
                    described["default"] = _plain_default(field)
                except NeedsStore:
                    pass  # a file on this machine, which is uploaded when the default is used
                except CodecError as error:
                    wrong.append((field, error))
            properties[field.name] = described
        if wrong:
            raise _wrong_defaults(self.python_type, wrong)
        schema: dict[str, Any] = {
            "type": "object",
            "title": self.python_type.__name__,
            "properties": properties,
            "additionalProperties": False,
        }
        required = [field.name for field in self._fields if field.required]
        if required:
            schema["required"] = required
        return schema

    def _is_whole(self, value: Any) -> bool:
        """Whether every field of the value has a place; a subclass with more of them would lose some."""
        if type(value) is self.python_type:
            return True
        if not isinstance(value, self.python_type):
            return False
        names = self.python_type.__dataclass_fields__.keys()
        return bool(value.__dataclass_fields__.keys() == names)


def dataclass_codec(python_type: Any, registry: "CodecLookup") -> "Codec | None":
    """The codec of a dataclass; `None` when one of its fields cannot be plain data.

    A dataclass that holds itself has no type in Flyte either, and gets `None`; so does one with an
    `InitVar`, for what that was is not in the value.
    """
    dataclasses = sys.modules["dataclasses"]
    if any(each._field_type is dataclasses._FIELD_INITVAR for each in _declared(python_type)):
        return None
    hints = _hints(python_type)
    fields, types = [], {}
    try:
        for field in dataclasses.fields(python_type):
            annotation = hints[field.name]
            codec = part_codec(annotation, registry)
            factory = field.default_factory is not dataclasses.MISSING
            required = field.default is dataclasses.MISSING and not factory
            fields.append(_Field(field.name, codec, field.init, field.default, required))
            field_type = _field_type(annotation, registry)
            if field_type is not None:
                types[field.name] = field_type
    except CodecError:
        return None
    return DataclassCodec(python_type, fields, types)


def _declared(python_type: Any) -> "list[Any]":
    """Every field, also those that `dataclasses.fields` leaves out."""
    return list(python_type.__dataclass_fields__.values())


def _hints(python_type: Any) -> "dict[str, Any]":
    try:
        return typing.get_type_hints(python_type, include_extras=True)
    except NameError as error:
        raise CodecError(
            f"A field of {spell(python_type)} has a type that cannot be resolved: {error}.",
            hint="Define or import that name before.",
        ) from None


def _field_type(annotation: Any, registry: "CodecLookup") -> "LiteralType | None":
    """The field's type as an input would have it; `None` where flytekit has none either."""
    try:
        return registry.quiet.codec(annotation).literal_type
    except CodecError:
        return None


def _wrong_defaults(python_type: Any, wrong: "list[tuple[_Field, CodecError]]") -> CodecError:
    """Return the error for fields whose defaults their types do not have, with what to write."""
    names = [field.name for field, _ in wrong]
    listed = ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
    subject, verb = (
        (f"The fields {listed}", "have") if names[1:] else (f"The field {listed}", "has")
    )
    reasons = [f"{field.name}: {error.bare_message.rstrip('.')}" for field, error in wrong]
    return CodecError(
        f"{subject} of {spell(python_type)} {verb} a default that does not fit: {'; '.join(reasons)}.",
        hint=" ".join(_better_default(field, error) for field, error in wrong),
    )


def _better_default(field: _Field, error: CodecError) -> str:
    spelled = spell(field.codec.python_type)
    if field.default is None:
        return f"Write {field.name}: {spelled} | None = None."
    return error.hint or f"Give {field.name} a default of the type {spelled}."


def _plain_default(field: _Field) -> Any:
    plain = field.codec.pack(field.default, None)
    if isinstance(plain, bytes):
        import base64

        return base64.encodebytes(plain).decode("ascii")
    return plain
