"""Write and read protobuf's byte format, as far as columns of scalars and workflow nodes need it.

Two hot paths work on bytes, each with a benchmark: lists of scalars (message objects would cost 5 to 46
times as much) and the nodes of a workflow (`nodes.py`). The format is small and frozen.
Source: https://protobuf.dev/programming-guides/encoding.
"""

import struct

from flyte_nb.api.errors import CodecError

_SIGN = 1 << 63
_WRAP = 1 << 64
_DOUBLE = struct.Struct("<d")

_SMALL = tuple(bytes((number,)) for number in range(128))
"""Varints of one byte: most lengths and many numbers."""


def varint(number: int) -> bytes:
    """Return `number` (0 ≤ number < 2^64) as a base-128 varint."""
    if number < 128:
        return _SMALL[number]
    # Lengths of two bytes are frequent, and the loop costs several times as much.
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number: int) -> bytes:
    """Return `number` as an int64 varint; a negative one has ten bytes.

    Raises:
        CodecError: when it does not fit 64 bits.
    """
    # protobuf writes a negative int64 as the unsigned number with the same 64 bits.
    if number < 0:
        if number < -_SIGN:
            raise _too_large(number)
        return varint(number + _WRAP)
    if number >= _SIGN:
        raise _too_large(number)
    return varint(number)


def to_signed(number: int) -> int:
    """Return the int64 that the unsigned varint `number` stands for."""
    return number - _WRAP if number >= _SIGN else number


def double(number: float) -> bytes:
    """Return `number` as a little-endian IEEE 754 double (8 bytes).

    Raises:
        CodecError: when a double cannot hold it.
    """
    try:
        return _DOUBLE.pack(float(number))
    except OverflowError:
        raise CodecError(f"{number} does not fit a 64-bit float.") from None


def field(tag: bytes, payload: bytes) -> bytes:
    """Return a length-delimited field; `tag` is its one tag byte (field number × 8 + 2)."""
    return tag + varint(len(payload)) + payload


def text(tag: bytes, value: str) -> bytes:
    """Return a string field, or nothing when `value` is empty (proto3's default).

    Raises:
        Unsendable: when `value` is not text, or has a lone surrogate.
    """
    return field(tag, utf8(value)) if value else b""


class Unsendable(CodecError):
    """Raised for a value of the right kind that no message can hold, e.g. text with a lone surrogate."""


def utf8(value: str) -> bytes:
    """Return the text's UTF-8 bytes.

    Raises:
        Unsendable: when `value` is not text, or has a lone surrogate.
    """
    try:
        return value.encode("utf-8")
    except (AttributeError, UnicodeEncodeError) as error:
        raise Unsendable(
            f"{value!r} cannot be sent as text: {error}.",
            hint="Flyte's strings are Unicode text; send bytes as a file or a pickle.",
        ) from None


def read_varint(data: bytes, at: int) -> "tuple[int, int]":
    """Return the varint at offset `at`, and the offset behind it.

    Raises:
        CodecError: when it does not end within ten bytes or before `data` does.
    """
    # Ten groups of seven bits hold 64 bits; more bytes are damage.
    number = shift = 0
    for position in range(at, min(at + 10, len(data))):
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (_WRAP - 1), position + 1
        shift += 7
    raise CodecError(
        "The bytes are not a protobuf message of this kind: a number is incomplete.",
        hint="The file may be incomplete, or may not be a protobuf file.",
    )


def _too_large(number: int) -> CodecError:
    return CodecError(
        f"{number} does not fit Flyte's 64-bit integers.",
        hint="Use a float or a string for larger numbers.",
    )
