"""Protobuf's byte format, as much of it as columns of scalars and workflow nodes need.

Two hot paths write bytes by hand, each held by a benchmark: lists of scalars (three message objects an
element would cost 5 to 46 times as much) and the nodes of a workflow (`nodes`). The format is small and
frozen: https://protobuf.dev/programming-guides/encoding.
"""

import struct

from flyte_nb.api.errors import CodecError

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


def read_varint(data: bytes, at: int) -> "tuple[int, int]":
    """The varint at offset `at`, and the offset behind it."""
    number = shift = 0
    for position in range(at, min(at + 10, len(data))):
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (_WRAP - 1), position + 1
        shift += 7
    raise CodecError(
        "The bytes are not a protobuf message of this kind: a number is cut short.",
        hint="The file may be cut short, or be something else.",
    )


def _too_large(number: int) -> CodecError:
    return CodecError(
        f"{number} does not fit into Flyte's 64-bit integers.",
        hint="Use a float or a string for larger numbers.",
    )
