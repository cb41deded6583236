"""Fill a flyteidl message from plain data, by its descriptor: protojson, but with every problem at once.

Field names may be written in snake_case or lowerCamel. `json_format` stops at the first mistake and
does not say where it is, so it is used only for the types of `google.protobuf` (Struct, Duration, …).
"""

import base64
import binascii
import difflib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from flyte_nb.discovery.specs.text import Word, plain

Path = tuple["str | int", ...]

_MAX_MESSAGES = 99  # inside of each other: protobuf refuses to read more than 100
_MAX_STRUCT = 90  # likewise, with room for the messages around it
_MAX_PROBLEMS = 100  # of one document
_F = FieldDescriptor
_INTS = {
    **dict.fromkeys((_F.CPPTYPE_INT32, _F.CPPTYPE_ENUM), (-(1 << 31), (1 << 31) - 1)),
    _F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    _F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    _F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_FLOATS = (_F.CPPTYPE_FLOAT, _F.CPPTYPE_DOUBLE)
_ADVICE = {
    "google.protobuf.Duration": 'Write seconds with an s, e.g. "90s".',
    "google.protobuf.Timestamp": 'Write e.g. "2024-01-31T06:00:00Z".',
}


class Mistake(NamedTuple):
    """What is wrong at one place of the data."""

    path: Path
    code: str
    message: str
    hint: str = ""


class _Full(Exception):
    """Ends the reading of a document that has too many problems."""


def fill(message: Message, data: Any) -> "list[Mistake]":
    """Fill `message` from `data`, and return everything that does not fit, in the order of the data."""
    reader = _Reader()
    try:
        reader.message(message, data, ())
    except _Full:
        reader.mistakes.append(
            Mistake((), "TooManyProblems", "There are more problems than these.")
        )
    return reader.mistakes


def spoken(path: Path) -> str:
    """Return a path as a person writes it, e.g. `template.nodes[2].id`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(word: str, known: "Iterable[str]") -> str:
    """Return a hint such as `Did you mean 'image'?`; empty when no known word is near."""
    spelled = {item.casefold(): item for item in known}
    match = difflib.get_close_matches(word[:100].casefold(), spelled, n=1)
    return f"Did you mean {spelled[match[0]]!r}?" if match else ""


class _Reader:
    """Reads one document. Fields are `Any`, because protobuf's releases differ in how they type them."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._fields: dict[str, dict[str, Any]] = {}
        self._depth = 0

    def message(self, message: Any, data: Any, path: Path) -> None:
        descriptor = message.DESCRIPTOR
        if descriptor.file.package == "google.protobuf":
            self._well_known(message, data, path)
            return
        if not isinstance(data, dict):
            self._wrong(path, f"fields of a {descriptor.name} (a mapping)", data)
            return
        if self._depth >= _MAX_MESSAGES:
            self._note(path, "TooDeep", "It is nested more deeply than protobuf can send (100).")
            return
        self._depth += 1
        message.SetInParent()
        chosen: dict[str, str] = {}
        known = self._known(descriptor)
        for key, value in data.items():
            field = known.get(key)
            here = (*path, key)
            if field is None:
                self._unknown(descriptor, key, here)
            elif value is None or (isinstance(value, Word) and value.value is None and not (
                field.message_type and field.message_type.full_name == "google.protobuf.Value"
            )):  # fmt: skip
                continue  # null is absent, as in protojson
            elif self._is_first(field, key, chosen, here):
                self._field(message, field, value, here)
        self._depth -= 1

    def _known(self, descriptor: Descriptor) -> "dict[str, Any]":
        found = self._fields.get(descriptor.full_name)
        if found is None:
            found = {field.name: field for field in descriptor.fields}
            found.update({field.json_name: field for field in descriptor.fields})
            self._fields[descriptor.full_name] = found
        return found

    def _unknown(self, descriptor: Descriptor, key: str, path: Path) -> None:
        names = [field.name for field in descriptor.fields]
        in_camel = any(letter.isupper() for letter in key)
        style = [field.json_name for field in descriptor.fields] if in_camel else names
        hint = nearest(key, style) or f"It has: {', '.join(names)}."
        self._note(path, "UnknownField", f"{descriptor.name} has no field {key!r}.", hint)

    def _is_first(self, field: Any, key: str, chosen: "dict[str, str]", path: Path) -> bool:
        group = field.containing_oneof.name if field.containing_oneof else field.name
        if group in chosen:
            self._note(
                path,
                "FieldTwice",
                f"{key} and {chosen[group]} exclude each other.",
                f"Keep one of them ({group}).",
            )
            return False
        chosen[group] = key
        return True

    def _field(self, message: Any, field: Any, value: Any, path: Path) -> None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            self._map(message, field, value, path)
        elif field.is_repeated if hasattr(field, "is_repeated") else field.label == 3:
            if not isinstance(value, list):
                self._wrong(path, "a list", value)
                return
            items = getattr(message, field.name)
            for index, item in enumerate(value):
                if kind is not None:
                    self.message(items.add(), item, (*path, index))
                elif (made := self._scalar(field, item, (*path, index))) is not None:
                    items.append(made)
        elif kind is not None:
            self.message(getattr(message, field.name), value, path)
        elif (made := self._scalar(field, value, path)) is not None:
            setattr(message, field.name, made)

    def _map(self, message: Any, field: Any, value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            self._wrong(path, "a mapping", value)
            return
        entries = getattr(message, field.name)
        key_field = field.message_type.fields_by_name["key"]
        value_field = field.message_type.fields_by_name["value"]
        for word, item in value.items():
            key = self._scalar(key_field, word, (*path, word))
            if key is None:
                continue
            if value_field.message_type is not None:
                self._depth += 1  # the entry is a message too
                self.message(entries[key], item, (*path, word))
                self._depth -= 1
            elif (made := self._scalar(value_field, item, (*path, word))) is not None:
                entries[key] = made

    def _scalar(self, field: Any, data: Any, path: Path) -> Any:
        """Return the value; note it and return `None` when it does not fit."""
        value = data.value if isinstance(data, Word) else data
        kind = field.cpp_type
        if kind == _F.CPPTYPE_STRING:
            text = data.text if isinstance(data, Word) and value is not None else value
            return self._text(field, text, path)
        if kind == _F.CPPTYPE_BOOL:
            return value if isinstance(value, bool) else self._wrong(path, "true or false", data)
        if kind == _F.CPPTYPE_ENUM and isinstance(value, str):
            return self._enum(field, value, path)
        # protojson writes 64-bit integers as text, and people write 3.0 for 3.
        number = _number(value)
        if kind in _FLOATS:
            if number is None or (isinstance(number, int) and abs(number) > 1 << 1000):
                return self._wrong(path, "a number", data)
            return float(number)
        low, high = _INTS[kind]
        if isinstance(number, float) and math.isfinite(number) and number.is_integer():
            number = int(number)
        if not isinstance(number, int):
            return self._wrong(path, "a whole number", data)
        if not low <= number <= high:
            return self._wrong(path, f"a whole number from {low} to {high}", data)
        return number

    def _text(self, field: Any, value: Any, path: Path) -> "str | bytes | None":
        if not isinstance(value, str):
            self._wrong(path, "text", value)
            return None
        if field.type == _F.TYPE_BYTES:
            try:
                padded = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
                return base64.b64decode(padded, validate=True)
            except (binascii.Error, ValueError):
                self._wrong(path, "bytes in base64", value)
                return None
        try:
            value.encode()
        except UnicodeEncodeError:
            self._note(path, "WrongValue", "The text has half of a surrogate pair in it.")
            return None
        return value

    def _enum(self, field: Any, word: str, path: Path) -> "int | None":
        values = field.enum_type.values_by_name
        if word in values:
            return int(values[word].number)
        hint = nearest(word, values) or f"It is one of: {', '.join(values)}."
        self._note(path, "UnknownWord", f"{_short(word)} is no {field.enum_type.name}.", hint)
        return None

    def _well_known(self, message: Any, data: Any, path: Path) -> None:
        value = plain(data)
        if self._depth + _levels(value) > _MAX_STRUCT:
            self._note(path, "TooDeep", "It is nested more deeply than protobuf can send (100).")
            return
        try:
            json_format.ParseDict(value, message, max_recursion_depth=_MAX_MESSAGES)
        except (
            json_format.ParseError, ValueError, TypeError, OverflowError, AttributeError, RecursionError,
        ):  # fmt: skip
            name = message.DESCRIPTOR.name
            self._wrong(path, f"a {name}", data, _ADVICE.get(message.DESCRIPTOR.full_name, ""))

    def _wrong(self, path: Path, wanted: str, got: Any, hint: str = "") -> None:
        self._note(path, "WrongValue", f"Expected {wanted}, got {_named(got)}.", hint)

    def _note(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(path, code, message, hint))
        if len(self.mistakes) >= _MAX_PROBLEMS:
            raise _Full


def _levels(data: Any) -> int:
    """Return how many messages are inside of each other in a Struct: three for a mapping, two for a list."""
    if isinstance(data, dict):
        return 3 + max(map(_levels, data.values()), default=0)
    if isinstance(data, list):
        return 2 + max(map(_levels, data), default=0)
    return 0


def _number(value: Any) -> "int | float | None":
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= 50:
        try:
            return int(value) if value.lstrip("+-").isdigit() else float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) else None


def _named(value: Any) -> str:
    if isinstance(value, Word):
        return value.text or "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else _short(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
