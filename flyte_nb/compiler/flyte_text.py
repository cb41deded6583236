"""Messages as Go's protobuf prints them on one line: what Flyte's error texts quote.

Go puts one or two spaces between fields, at random; here it is always one.
"""

import re
from collections.abc import Iterator
from typing import Any

from flyteidl.core import types_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_LENGTH = 2000
"""Texts are cut here: a type may be as large as its author likes, a message to a person may not."""


def go_text(message: Message) -> str:
    """The message like `simple:INTEGER structure:{tag:"int"}`, cut after `MAX_LENGTH` characters."""
    text = _Text()
    try:
        text.fields(message)
    except _Full:
        return "".join(text.parts)[:MAX_LENGTH] + "…"
    return "".join(text.parts)


def type_text(type: "types_pb2.LiteralType | None") -> str:
    """The type as Flyte's errors quote it: a struct by its fields alone, no type as `None`."""
    if type is None:
        return "None"
    if type.simple == types_pb2.STRUCT:
        members = type.structure.dataclass_type
        fields = ", ".join(
            f"dataclass_type:{{key:{name} value:{{{type_text(members[name])}}}"
            for name in sorted(members)
        )
        return f"simple: STRUCT structure{{{fields}}}"[:MAX_LENGTH]
    return go_text(type)


class _Full(Exception):
    """The text is as long as it may be."""


class _Text:
    """A message's text while it is written; it ends early, however large the message is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._left = MAX_LENGTH

    def fields(self, message: Message) -> None:
        first = True
        for descriptor, before, value, after in _entries(message):
            self._write(before if first else " " + before)
            first = False
            self._value(descriptor, value)
            self._write(after)

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise _Full

    def _value(self, descriptor: FieldDescriptor, value: Any) -> None:
        if descriptor.message_type is None:
            self._write(_scalar(descriptor, value))
            return
        self._write("{")
        self.fields(value)
        self._write("}")


def _entries(message: Message) -> "Iterator[tuple[FieldDescriptor, str, Any, str]]":
    """Every single value: its field, what stands before it, the value, and what stands behind."""
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
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}")


def _scalar(descriptor: FieldDescriptor, value: Any) -> str:
    if descriptor.enum_type is not None:
        number = descriptor.enum_type.values_by_number.get(value)
        return number.name if number is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value[:MAX_LENGTH])}"'
    if isinstance(value, bytes):
        return '"' + "".join(f"\\x{byte:02x}" for byte in value[:MAX_LENGTH]) + '"'
    return str(value)
