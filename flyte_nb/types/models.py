"""pydantic's models: structs whose type has pydantic's own JSON schema (flytekit's `Pydantic Transformer`).

pydantic is never imported here: where a value is of a model, the user's code has imported it. It checks and
converts the values, and its errors name every fault with its place.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import json
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, FlyteNbError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, JsonSchema, mismatch, spell
from flyte_nb.types.containers import msgpack_struct
from flyte_nb.types.plain_data import plain_data, plain_struct, struct_literal

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

DATA = "flyte_nb.data"
"""The key in pydantic's context under which files in a model find the `DataAccess` of the call."""

_SET = '"uniqueItems"'
"""What the JSON schema of a set has, and of nothing else."""


class ModelCodec(Codec):
    """Codec of one pydantic model, version 2."""

    transformer = "Pydantic Transformer"
    packs = True

    def __init__(self, python_type: Annotation, fields: "dict[str, LiteralType]") -> None:
        try:
            schema: dict[str, Any] = python_type.model_json_schema()
        except Exception as error:  # pydantic has several, and a model's own code may raise any
            raise CodecError(
                f"{spell(python_type)} has no JSON schema: {error}",
                hint="Give each field a type that JSON has, or declare the type as Any to pickle it.",
            ) from error
        super().__init__(python_type, msgpack_struct(schema, fields))
        self._has_sets = _SET in json.dumps(schema, default=str)

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        return struct_literal(self.pack(value, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        plain = plain_struct(literal)
        return super().decode(literal, data) if plain is None else self.unpack(plain[0], data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        """Return the model as plain data, with local files stored.

        Raises:
            CodecError: when the value is no such model, or has something that JSON has not.
            NeedsStore: when it has a local file, and there is no store.
        """
        if isinstance(value, dict):
            value = self.unpack(value, data)
        elif not self._is_whole(value):
            raise mismatch(self, value)
        # By name, because pydantic is not imported and so its types are unknown here.
        dump: Any = getattr(value, "model_dump", None)
        context = {DATA: data}
        try:
            plain = dump(mode="json", context=context)
            if self._has_sets:
                # Only Python's own objects tell a set from a list; in JSON both are lists.
                plain = _ordered(plain, dump(context=context))
        except FlyteNbError:
            raise
        except Exception as error:
            # pydantic wraps what serializers raise. Our own error says which file or store is at fault.
            caused = _ours(error)
            if caused is not None:
                raise caused from None
            raise CodecError(
                f"The {spell(self.python_type)} cannot be written as JSON: {error}"
            ) from error
        return plain_data(plain)

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        """Return the model that the plain data describes.

        Raises:
            CodecError: when the data does not fit; the message has every fault, `path` is the first one's.
        """
        if not isinstance(plain, dict):
            raise mismatch(self, plain)
        try:
            # As JSON and not as Python's objects: pydantic reads text for a time or bytes from JSON only.
            text = json.dumps(plain, default=_unknown)
            context = {"deserialize": True, DATA: data}
            made: object = self.python_type.model_validate_json(text, context=context)
        except FlyteNbError:
            raise
        except Exception as error:
            raise _refused(self.python_type, error) from error
        return made

    def schema(self) -> JsonSchema:
        return dict(self.literal_type.metadata or {})

    def _is_whole(self, value: object) -> bool:
        """Return whether the value has our fields only; those that a subclass adds would be lost."""
        if type(value) is self.python_type:
            return True
        if not isinstance(value, self.python_type):
            return False
        # From the class: pydantic deprecates `model_fields` of an object.
        fields: Any = type(value)
        return bool(fields.model_fields.keys() == self.python_type.model_fields.keys())


def model_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of a pydantic model.

    Raises:
        CodecError: when the model has no JSON schema.
    """
    fields = {}
    for name, field in python_type.model_fields.items():
        try:
            fields[name] = registry.quiet.codec(field.annotation).literal_type
        except CodecError:  # an input cannot have this type; flytekit leaves the field out too
            continue
    return ModelCodec(python_type, fields)


def _refused(python_type: object, error: Exception) -> CodecError:
    """Return pydantic's `ValidationError` as ours: each fault with its place, none twice."""
    listed: Any = getattr(error, "errors", None)
    if listed is None:
        return CodecError(f"{spell(python_type)} refuses the value: {error}")
    faults: dict[str, str] = {}
    for fault in listed(include_url=False, include_context=False, include_input=False):
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault["loc"])
        faults.setdefault("$" + "".join(steps), fault["msg"])
    first = next(iter(faults), "$")
    if len(faults) == 1:
        return CodecError(f"{faults[first]}, for {spell(python_type)}.", path=first)
    said = "; ".join(f"{place}: {text}" for place, text in faults.items())
    return CodecError(f"{spell(python_type)} has {len(faults)} faults: {said}.", path=first)


def _ours(error: "BaseException | None") -> "FlyteNbError | None":
    """Return the error of ours that pydantic wrapped in its own, or `None`."""
    while error is not None:
        if isinstance(error, FlyteNbError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _ordered(plain: object, value: object) -> object:
    """Return the plain data with each set in a fixed order, as equal values need equal bytes.

    Args:
        plain: what pydantic wrote, with lists in the place of sets.
        value: the same with Python's own sets.
    """
    if isinstance(plain, dict) and isinstance(value, dict) and len(plain) == len(value):
        pairs = zip(plain.items(), value.values(), strict=True)
        return {key: _ordered(item, part) for (key, item), part in pairs}
    if isinstance(plain, list):
        if isinstance(value, (set, frozenset)):
            return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True))
        if isinstance(value, (list, tuple)) and len(plain) == len(value):
            return [_ordered(item, part) for item, part in zip(plain, value, strict=True)]
    return plain


def _unknown(value: object) -> object:
    """Return bytes in msgpack of another client as text; JSON has no bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise TypeError(f"{type(value).__name__} is not JSON data")
