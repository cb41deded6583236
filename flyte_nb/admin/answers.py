"""Fit a refusal into the trailing metadata of a gRPC answer: cut for any client, whole on request.

A status text and its details travel in the trailing metadata. Clients of gRPC's own library, and
those in Java, drop metadata above 8 KiB, and the whole answer with it. Everything but printable
ASCII takes three bytes there.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf import any_pb2
from google.rpc import status_pb2

from flyte_nb.admin.refused import MAX_TEXT_BYTES, Refused
from flyte_nb.api.call_metadata import ERROR_BYTES_KEY

ROOM_BYTES = 7_600
"""For text and details together: 8192 minus what gRPC itself adds."""

_MAX_ROOM_BYTES = 3 * MAX_TEXT_BYTES + 8_192
_FIELD_BYTES = 64
"""What HTTP/2 counts for a header in addition to its value: its name and 32 bytes."""

_DETAILS_KEY = "grpc-status-details-bin"


class StatusAnswer(NamedTuple):
    """A status text, and the trailing metadata beside it."""

    text: str
    metadata: tuple[tuple[str, bytes], ...] = ()


def answer(refused: Refused, code: int, room: int = ROOM_BYTES) -> StatusAnswer:
    """Return what is sent for a refusal, within `room` bytes of trailing metadata.

    The detail, which programs read, is kept whole if it fits at all. The text, which people read, is
    cut at its end, and its last words say so.
    """
    whole = refused.message.encode("utf-8", "replace").decode("utf-8")
    if refused.detail is not None:
        detail = any_pb2.Any()
        detail.Pack(refused.detail)
        # With a detail the text is sent twice: as the status text (1 byte a character), and within
        # the serialized status, which is base64 (4 bytes for 3). So it gets 3/7 of what is left.
        bare = _base64_bytes(len(status_pb2.Status(details=[detail]).SerializeToString()) + 16)
        text = fitting(whole, (room - bare - 2 * _FIELD_BYTES) * 3 // 7)
        status = status_pb2.Status(code=code, message=text, details=[detail])
        blob = status.SerializeToString()
        if (text or not whole) and _wire_bytes(text) + _base64_bytes(
            len(blob)
        ) + 2 * _FIELD_BYTES <= room:
            return StatusAnswer(text, ((_DETAILS_KEY, blob),))
    return StatusAnswer(fitting(whole, room - _FIELD_BYTES))


def room_of(metadata: "Iterable[tuple[str, Any]]") -> int:
    """Return how many bytes of trailing metadata a client accepts.

    Our own client sends the number with its call. Without it, the answer is what every client accepts.
    """
    for key, value in metadata:
        if (
            key == ERROR_BYTES_KEY
            and isinstance(value, str)
            and len(value) < 10
            and value.isdecimal()
        ):
            return min(max(int(value), ROOM_BYTES), _MAX_ROOM_BYTES)
    return ROOM_BYTES


def as_metadata(text: str) -> str:
    """Return the text as gRPC's metadata may hold it: printable ASCII on one line."""
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    return fitting("".join(each for each in line if each.isprintable()), ROOM_BYTES - _FIELD_BYTES)


def fitting(text: str, room: int) -> str:
    """Return the text, or the longest beginning that fits into `room` bytes with a note of its length."""
    if len(text.encode()) <= MAX_TEXT_BYTES and _wire_bytes(text) <= room:
        return text
    ending = f" ... (cut: all {len(text)} characters are in backend.log, in the backend's folder)"
    left = room - _wire_bytes(ending)
    if left <= 0:
        return ""
    kept = text.encode()[: min(MAX_TEXT_BYTES - len(ending.encode()), left)].decode(errors="ignore")
    low, high = 0, len(kept)
    # Bisection, because characters differ in length on the wire.
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _wire_bytes(kept[:middle]) <= left else (low, middle - 1)
    return kept[:low] + ending


def _wire_bytes(text: str) -> int:
    """Return the length of a `grpc-message`: `%` and all but printable ASCII become `%XX`."""
    return sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in text.encode())


def _base64_bytes(length: int) -> int:
    return (length + 2) // 3 * 4
