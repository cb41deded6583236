"""Protobuf's byte format, as much of it as literals and types need.

Literals are read and written as bytes, by hand, for two reasons. A task's host process reads one
`inputs.pb` and writes one `outputs.pb`: loading `flyteidl.core.literals_pb2` for that costs more
than the rest of its start. And a list of a million numbers would pay for three message objects a
number. The format is small and frozen: https://protobuf.dev/programming-guides/encoding.

Rules that readers here keep: unknown fields are skipped, the last member of a oneof wins, and a
message field that occurs twice is merged, which by definition is to join its payloads.
"""

import struct
from collections.abc import Iterator

from flyte_nb.api.errors import CodecError

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5

_SIGN = 1 << 63
_WRAP = 1 << 64
_DOUBLE = struct.Struct("<d")

_SMALL = tuple(bytes((number,)) for number in range(128))
"""Varints of one byte; most lengths and many numbers."""


def varint(number: int) -> bytes:
    """`number` (0 ≤ number < 2^64) as a base-128 varint."""
    if number < 128:
        return _SMALL[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number: int) -> bytes:
    """`number` as an int64 varint; negative ones take ten bytes.

    Raises:
        CodecError: when it does not fit into 64 bits.
    """
    if number < 0:
        if number < -_SIGN:
            raise _too_large(number)
        return varint(number + _WRAP)
    if number >= _SIGN:
        raise _too_large(number)
    return varint(number)


def to_signed(number: int) -> int:
    """The int64 that the unsigned varint `number` stands for."""
    return number - _WRAP if number >= _SIGN else number


def double(number: float) -> bytes:
    """`number` as eight bytes, little-endian IEEE 754; `CodecError` when a double cannot hold it."""
    try:
        return _DOUBLE.pack(float(number))
    except OverflowError:
        raise CodecError(f"{number} does not fit into a double.") from None


def to_double(data: bytes) -> float:
    """Inverse of `double`."""
    return float(_DOUBLE.unpack(data)[0])


def field(tag: bytes, payload: bytes) -> bytes:
    """A length-delimited field; `tag` is its one tag byte (number × 8 + 2)."""
    return tag + varint(len(payload)) + payload


def text(tag: bytes, value: str) -> bytes:
    """A string field, or nothing when it is empty (proto3's default).

    Raises:
        CodecError: when it is not text, or holds a lone surrogate.
    """
    return field(tag, utf8(value)) if value else b""


class Unsendable(CodecError):
    """A value that is of its kind and that no message holds: a lone surrogate, what msgpack refuses."""


def utf8(value: str) -> bytes:
    """The text's UTF-8 bytes; `Unsendable` when it is not text or holds a lone surrogate."""
    try:
        return value.encode("utf-8")
    except (AttributeError, UnicodeEncodeError) as error:
        raise Unsendable(
            f"{value!r} cannot be sent as text: {error}.",
            hint="Flyte's strings are Unicode text; send bytes as a file or a pickle.",
        ) from None


def to_text(data: bytes) -> str:
    """The text in `data`; `CodecError` when it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CodecError(f"A string in the message is not UTF-8: {error}.") from None


def read_varint(data: bytes, at: int) -> "tuple[int, int]":
    """The varint at offset `at`, and the offset behind it."""
    number = shift = 0
    for position in range(at, min(at + 10, len(data))):
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (_WRAP - 1), position + 1
        shift += 7
    raise damaged("a number is cut short or longer than ten bytes")


def fields(data: bytes) -> "Iterator[tuple[int, int, int | bytes]]":
    """The message's fields in order, as `(number, wire type, value)`.

    A varint is an unsigned int, everything else the field's bytes.

    Raises:
        CodecError: when `data` is not a message.
    """
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        if key < 128:
            at += 1
        else:
            key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise damaged("a field has number 0")
        if wire_type == BYTES:
            size, at = read_varint(data, at)
            stop = at + size
            value: int | bytes = data[at:stop]
        elif wire_type == VARINT:
            value, stop = read_varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            stop = at + (8 if wire_type == FIXED64 else 4)
            value = data[at:stop]
        else:
            raise damaged(f"wire type {wire_type}")
        if stop > end:
            raise damaged("a field is cut short")
        yield number, wire_type, value
        at = stop


def message_fields(data: bytes) -> "dict[int, bytes]":
    """The length-delimited fields of a message without repeated fields, merged, by number."""
    found: dict[int, bytes] = {}
    for number, _, value in fields(data):
        if isinstance(value, bytes):
            found[number] = found[number] + value if number in found else value
    return found


def map_entry(data: bytes) -> "tuple[str, bytes]":
    """One entry of a `map<string, …>`: its key, and its value's bytes."""
    key = value = b""
    for number, wire_type, part in fields(data):
        if wire_type == BYTES and isinstance(part, bytes):
            if number == 1:
                key = part
            elif number == 2:
                value += part
    return to_text(key), value


def damaged(what: str) -> CodecError:
    """The error for bytes that are no protobuf message."""
    return CodecError(
        f"The bytes are not a protobuf message of this kind: {what}.",
        hint="The file may be cut short, or be something else.",
    )


def _too_large(number: int) -> CodecError:
    return CodecError(
        f"{number} does not fit into Flyte's 64-bit integers.",
        hint="Use a float or a string for larger numbers.",
    )
