"""Many calls in one message, as the local backend takes them at `/flyte_nb.Many/Call`.

A call of its own costs client and server half a millisecond each, which is more than most calls
take to be carried out. As protobuf, inside of a `google.protobuf.BytesValue` both ways:

    message Calls   { repeated Call calls = 1; }
    message Call    { string method = 1; bytes request = 2; }
    message Answers { repeated Answer answers = 1; }
    message Answer  { bytes message = 1; string code = 2; string text = 3; }

`method` is a name of flyteidl's services, e.g. `CreateTask`; `code` is the name of gRPC's status, and
empty for a call that was carried out. Calls are carried out in order, each by itself.
"""

from collections.abc import Iterable
from typing import NamedTuple

from flyte_nb.wire.encoding import BYTES, field, fields, message_fields, text, to_text

PATH = "/flyte_nb.Many/Call"


class Call(NamedTuple):
    """One call."""

    method: str
    request: bytes


class Answer(NamedTuple):
    """What became of one call."""

    message: bytes
    code: str = ""
    """gRPC's status when the call was refused, e.g. `INVALID_ARGUMENT`."""
    text: str = ""
    """Why it was refused."""


def calls_to_bytes(calls: "Iterable[Call]") -> bytes:
    """The message `Calls`."""
    return b"".join(
        field(b"\x0a", text(b"\x0a", call.method) + field(b"\x12", call.request)) for call in calls
    )


def calls_from_bytes(data: bytes) -> "list[Call]":
    """Inverse of `calls_to_bytes`; `CodecError` when `data` is no such message."""
    return [
        Call(to_text(parts.get(1, b"")), parts.get(2, b""))
        for parts in map(message_fields, _items(data))
    ]


def answers_to_bytes(answers: "Iterable[Answer]") -> bytes:
    """The message `Answers`."""
    return b"".join(
        field(
            b"\x0a",
            field(b"\x0a", answer.message)
            + text(b"\x12", answer.code)
            + text(b"\x1a", answer.text),
        )
        for answer in answers
    )


def answers_from_bytes(data: bytes) -> "list[Answer]":
    """Inverse of `answers_to_bytes`; `CodecError` when `data` is no such message."""
    return [
        Answer(parts.get(1, b""), to_text(parts.get(2, b"")), to_text(parts.get(3, b"")))
        for parts in map(message_fields, _items(data))
    ]


def _items(data: bytes) -> "Iterable[bytes]":
    for number, wire_type, part in fields(data):
        if number == 1 and wire_type == BYTES and isinstance(part, bytes):
            yield part
