"""Write messages as Go's protobuf prints them on one line, because Flyte's error texts quote them so.

Go puts one or two spaces between fields, at random; this module always puts one.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from flyteidl.core import types_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# protobuf's reflection gives a field's value as it is; its stubs have no better type.
FieldValue: TypeAlias = Any

MAX_LENGTH = 2000
"""Characters after which a text is cut: a type may be of any size, an error text may not."""


def go_text(message: Message) -> str:
    """Return the message like `simple:INTEGER structure:{tag:"int"}`, cut after `MAX_LENGTH` characters."""
    text = _Text()
    try:
        text.fields(message)
    except _TextFull:
        return "".join(text.parts)[:MAX_LENGTH] + "…"
    return "".join(text.parts)


def type_text(type: "types_pb2.LiteralType | None") -> str:
    """Return the type as Flyte's errors quote it: a struct by its fields alone, a missing type as `None`.

    Source: flytepropeller/pkg/compiler/errors/compiler_errors.go at v1.16.8.
    """
    if type is None:
        return "None"
    # A field of this type may itself be a struct, so the text nests as the dataclasses do.
    if type.simple == types_pb2.STRUCT:
        members = type.structure.dataclass_type
        fields = ", ".join(
            f"dataclass_type:{{key:{name} value:{{{type_text(members[name])}}}"
            for name in sorted(members)
        )
        return f"simple: STRUCT structure{{{fields}}}"[:MAX_LENGTH]
    return go_text(type)


class _TextFull(Exception):
    """The text has reached `MAX_LENGTH`."""


class _Text:
    """The text of a message while it is written; writing stops at the limit, however large the message is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._left = MAX_LENGTH

    def fields(self, message: Message) -> None:
        """Write the fields of a message.

        Raises:
            _TextFull: when the text has reached its limit.
        """
        first = True
        for descriptor, before, value, after in _entries(message):
            self._write(before if first else " " + before)
            first = False
            self._value(descriptor, value)
            self._write(after)

    def _write(self, text: str) -> None:
        """Append to the text."""
        self.parts.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise _TextFull

    def _value(self, descriptor: FieldDescriptor, value: FieldValue) -> None:
        """Write one value: a scalar, or a message in braces."""
        if descriptor.message_type is None:
            self._write(_scalar(descriptor, value))
            return
        self._write("{")
        self.fields(value)
        self._write("}")


def _entries(message: Message) -> "Iterator[tuple[FieldDescriptor, str, FieldValue, str]]":
    """Yield every single value of a message: its field, the text before it, the value, the text after it."""
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            inner = descriptor.message_type.fields_by_name["value"]
            for key in sorted(value):
                yield inner, f'{name}:{{key:"{key}" value:', value[key], "}"
        elif descriptor.is_repeated:
            for item in value:
                yield descriptor, f"{name}:", item, ""
        else:
            yield descriptor, f"{name}:", value, ""


_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(found: "re.Match[str]") -> str:
    """Return the escape sequence of a character as Go writes it."""
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}")


def _scalar(descriptor: FieldDescriptor, value: FieldValue) -> str:
    """Return the text of a value that is not a message."""
    if descriptor.enum_type is not None:
        # An unknown number is written as a number, as Go does.
        number = descriptor.enum_type.values_by_number.get(value)
        return number.name if number is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Cut before escaping: a text of megabytes costs no more than the limit.
        return f'"{_ESCAPED.sub(_escape, value[:MAX_LENGTH])}"'
    if isinstance(value, bytes):
        return '"' + "".join(f"\\x{byte:02x}" for byte in value[:MAX_LENGTH]) + '"'
    return str(value)
