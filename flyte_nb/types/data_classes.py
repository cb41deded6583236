"""Codec of dataclasses: structs whose type has a JSON schema and the literal type of each field.

`dataclasses` is never imported here: where a value is of a dataclass, the user's code has imported it.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import sys
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, JsonSchema, NeedsStore, mismatch, spell
from flyte_nb.types.containers import msgpack_struct
from flyte_nb.types.plain_data import plain_struct, struct_literal
from flyte_nb.types.structs import part_codec

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


class _Field(NamedTuple):
    name: str
    codec: Codec
    init: bool
    """Whether the constructor takes it."""
    default: Any
    """`dataclasses.MISSING` where there is none."""
    required: bool
    """Whether it has neither a default nor a default factory."""


class DataclassCodec(Codec):
    """Codec of one dataclass. Values are read field by field and never changed."""

    transformer = "Object-Dataclass-Transformer"
    packs = True

    def __init__(
        self, python_type: Annotation, fields: "list[_Field]", types: "dict[str, LiteralType]"
    ) -> None:
        # The type contains the JSON schema, which is made of the fields. So the type is set twice.
        self._fields = fields
        super().__init__(python_type, msgpack_struct())
        self.literal_type = msgpack_struct(self.schema(), types)

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return struct_literal(self.pack(value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        plain = plain_struct(literal)
        return super().decode(literal, data) if plain is None else self.unpack(plain[0], data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        if isinstance(value, dict):  # flytekit takes a dict of the fields too
            value = self.unpack(value, data)
        # `mismatch` also explains an object of an older definition of the class, which a notebook often has.
        elif not self._is_whole(value):
            raise mismatch(self, value)
        done = {}
        for field in self._fields:
            try:
                # Not `dataclasses.asdict`: it copies every value deeply, and knows no files.
                done[field.name] = field.codec.pack(getattr(value, field.name), data)
            except CodecError as error:
                raise error.below(f".{field.name}") from None
        return done

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        """Return an object of the dataclass; unknown keys are ignored, as flytekit ignores them.

        Raises:
            CodecError: when a required field is missing, or a value does not fit its field.
        """
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        given: dict[str, Any] = {}
        later: dict[str, Any] = {}
        for field in self._fields:
            if field.name not in plain:
                # A missing field with a default is left to the constructor, which also calls default
                # factories.
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
        # Fields with `init=False`. A frozen dataclass refuses setattr.
        for name, value in later.items():
            object.__setattr__(made, name, value)
        return made

    def schema(self) -> JsonSchema:
        missing = sys.modules["dataclasses"].MISSING
        properties = {}
        wrong: list[tuple[_Field, CodecError]] = []
        for field in self._fields:
            described = field.codec.schema()
            if field.default is not missing:
                try:
                    # A default factory is never called here: its value may differ from call to call.
                    described["default"] = _plain_default(field)
                except NeedsStore:
                    pass  # a local file, which is uploaded when the default is used
                except CodecError as error:
                    wrong.append((field, error))
            properties[field.name] = described
        # Such a default would only fail in the first call that uses it.
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

    def _is_whole(self, value: object) -> bool:
        """Return whether the value has our fields only; those that a subclass adds would be lost."""
        if type(value) is self.python_type:
            return True
        if not isinstance(value, self.python_type):
            return False
        # A subclass without new fields, e.g. one with more methods, loses only its class.
        names = self.python_type.__dataclass_fields__.keys()
        return bool(value.__dataclass_fields__.keys() == names)


def dataclass_codec(python_type: Annotation, registry: "CodecLookup") -> "Codec | None":
    """Return the codec of a dataclass, or `None` when its values have to be pickled.

    That is so when a field cannot be plain data; when the dataclass contains itself, for which Flyte has no
    type; and when it has an `InitVar`, whose value no object keeps.
    """
    dataclasses = sys.modules["dataclasses"]
    if any(each._field_type is dataclasses._FIELD_INITVAR for each in _declared(python_type)):
        return None
    # Hints and not `field.type`, which is text under `from __future__ import annotations`.
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


def _declared(python_type: Annotation) -> "list[Any]":
    """Return every field, including the `InitVar`s and `ClassVar`s that `dataclasses.fields` leaves out."""
    return list(python_type.__dataclass_fields__.values())


def _hints(python_type: Annotation) -> "dict[str, Any]":
    try:
        # With the extras, because `Annotated` can carry a format or columns.
        return typing.get_type_hints(python_type, include_extras=True)
    except NameError as error:
        raise CodecError(
            f"A field of {spell(python_type)} has a type that cannot be resolved: {error}.",
            hint="Define or import that name before the dataclass is used.",
        ) from None


def _field_type(annotation: Any, registry: "CodecLookup") -> "LiteralType | None":
    """Return the type that the field would have as an input, or `None` where an input cannot have it.

    flytekit leaves such fields out of the type too.
    """
    try:
        return registry.quiet.codec(annotation).literal_type
    except CodecError:
        return None


def _wrong_defaults(
    python_type: Annotation, wrong: "list[tuple[_Field, CodecError]]"
) -> CodecError:
    """Return one error for all fields whose defaults do not fit their types, with what to write."""
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
    """Return what to write in place of a default that does not fit."""
    spelled = spell(field.codec.python_type)
    if field.default is None:
        return f"Write {field.name}: {spelled} | None = None."
    return error.hint or f"Give {field.name} a default of the type {spelled}."


def _plain_default(field: _Field) -> object:
    """Return the field's default as JSON for its schema; mashumaro writes bytes as base64 with newlines."""
    plain = field.codec.pack(field.default, None)
    if isinstance(plain, bytes):
        import base64  # for defaults of bytes only

        return base64.encodebytes(plain).decode("ascii")
    return plain
