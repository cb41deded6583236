"""Messages as Go's protobuf prints them on one line: what Flyte's error texts quote.

Go puts one or two spaces between fields, at random; here it is always one.
"""

from typing import Any

from flyteidl.core import types_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_LENGTH = 2000
"""Texts are cut here: a type may be as large as its author likes, a message to a person may not."""


def go_text(message: Message) -> str:
    """The message like `simple:INTEGER structure:{tag:"int"}`, cut after `MAX_LENGTH` characters."""
    text = _fields(message)
    return text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"


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


def _fields(message: Message) -> str:
    parts: list[str] = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            inner = descriptor.message_type.fields_by_name["value"]
            parts.extend(
                f'{descriptor.name}:{{key:"{key}" value:{_value(inner, value[key])}}}'
                for key in sorted(value)
            )
        elif descriptor.is_repeated:
            parts.extend(f"{descriptor.name}:{_value(descriptor, item)}" for item in value)
        else:
            parts.append(f"{descriptor.name}:{_value(descriptor, value)}")
    return " ".join(parts)


def _value(descriptor: FieldDescriptor, value: Any) -> str:
    if descriptor.message_type is not None:
        return f"{{{_fields(value)}}}"
    if descriptor.enum_type is not None:
        number = descriptor.enum_type.values_by_number.get(value)
        return number.name if number is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, bytes):
        return '"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
    return str(value)
