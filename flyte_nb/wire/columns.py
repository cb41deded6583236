"""Write and read columns: a list of plain values of one kind <-> the bytes of a `LiteralCollection`.

In bytes, one element is three nested headers around a few bytes of value:

    0a len   LiteralCollection.literals
    0a len   Literal.scalar
    0a len   Scalar.primitive
    tag …    the field of Primitive, which depends on the kind

While an element is shorter than 128 bytes, each header has two bytes. So columns are written and read by
offset, without message objects, which would cost 5 to 46 times as much. The fast readers and writers
accept this layout only. For everything else they return `None`, and the general code takes over: it is
slower, and its errors name the element. Source: flyteidl/core/literals.proto.
"""

import functools
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.wire.encoding import (
    double,
    field,
    read_varint,
    signed,
    to_signed,
    utf8,
    varint,
)

if TYPE_CHECKING:
    import re

MICROS = 1_000_000

_HEADERS = tuple(
    bytes((0x0A, size + 4, 0x0A, size + 2, 0x0A, size)) if size <= 123 else b""
    for size in range(128)
)
"""The three headers around a primitive, by its size; empty where a header needs more than two bytes."""
_SMALL_INTS = tuple(_HEADERS[2] + bytes((0x08, number)) for number in range(128))
_TRUE, _FALSE = _HEADERS[2] + b"\x20\x01", _HEADERS[2] + b"\x20\x00"
_FLOAT_SIZE = 15  # bytes of one element: three headers, the tag, a double
_SWAP = sys.byteorder == "big"  # protobuf is little-endian


def primitive_to_bytes(kind: str, value: Any) -> bytes:
    """Return the `Primitive` message of one scalar.

    Args:
        kind: one of `SCALAR_KINDS`.
        value: a plain value; times are microseconds.

    Raises:
        CodecError: when the value is not of that kind, or does not fit the message.
    """
    if kind == v.INTEGER and type(value) is int:
        return b"\x08" + signed(value)
    if kind == v.FLOAT and type(value) in (float, int):
        return b"\x11" + double(value)
    if kind == v.STRING:
        return field(b"\x1a", utf8(value))
    if kind == v.BOOLEAN and type(value) is bool:
        return b"\x20\x01" if value else b"\x20\x00"
    if kind == v.DATETIME and type(value) is int:
        # A Timestamp's nanos are never negative. `divmod` rounds down, which is right before 1970 too.
        seconds, micros = divmod(value, MICROS)
        return field(b"\x2a", _time_to_bytes(seconds, micros * 1000))
    if kind == v.DURATION and type(value) is int:
        # In google.protobuf.Duration seconds and nanos must have the same sign.
        seconds, micros = divmod(abs(value), MICROS)
        sign = -1 if value < 0 else 1
        return field(b"\x32", _time_to_bytes(sign * seconds, sign * micros * 1000))
    raise CodecError(f"{value!r} is not a value of the kind {kind!r}.")


def column_to_bytes(kind: str, values: "Sequence[Any]") -> bytes:
    """Return the `LiteralCollection` message of the values.

    Raises:
        CodecError: when a value is not of that kind; `path` is its index.
    """
    writer = _WRITERS.get(kind)
    if writer is not None:
        fast = writer(values)
        if fast is not None:
            return fast
    out = []
    for index, value in enumerate(values):
        try:
            primitive = primitive_to_bytes(kind, value)
        except CodecError as error:
            raise error.below(f"[{index}]") from None
        out.append(field(b"\x0a", field(b"\x0a", field(b"\x0a", primitive))))
    return b"".join(out)


def column_from_bytes(data: bytes) -> "tuple[str, list[Any]] | None":
    """Return kind and values of a `LiteralCollection`, or `None` when it has another layout.

    `None` does not mean that the message is wrong: its elements may be of several kinds, nested, hashed, or
    written in another way that protobuf allows.
    """
    # No element has fewer than 8 bytes.
    if len(data) < 8 or data[0] != 0x0A:
        return None
    # Byte 6 is the tag of the first element's primitive. It decides which reader can be right.
    kind, reader = _READERS.get(data[6], ("", None))
    values = reader(data) if reader is not None else None
    return None if values is None else (kind, values)


def map_entries(data: bytes) -> "list[tuple[str, bytes]] | None":
    """Return the entries of a `LiteralMap` in order, each with the bytes of its `Literal`.

    `None` does not mean that the message is wrong: it may be written in another way that protobuf allows.
    """
    entries = []
    at, end = 0, len(data)
    try:
        while at < end:
            # Entry (0a size), then its key (0a size text) and its value (12 size literal).
            size, start = read_varint(data, at + 1)
            stop = start + size
            size, key = read_varint(data, start + 1)
            length, value = read_varint(data, key + size + 1)
            if (data[at], data[start], data[key + size]) != (0x0A, 0x0A, 0x12):
                return None
            if value + length != stop or stop > end:
                return None
            entries.append((data[key : key + size].decode("utf-8"), data[value:stop]))
            at = stop
    except (CodecError, IndexError, UnicodeDecodeError):
        return None
    return entries


def _time_to_bytes(seconds: int, nanos: int) -> bytes:
    """Return a `Timestamp` or `Duration`; proto3 leaves zeros out."""
    first = b"\x08" + signed(seconds) if seconds else b""
    return first + b"\x10" + signed(nanos) if nanos else first


def _write_ints(values: "Sequence[object]") -> "bytes | None":
    # A Varint's last byte is below 128; the others carry 7 bits each, low bits first. Small numbers have
    # cases of their own, because a call for each element would double the time.
    small, headers = _SMALL_INTS, _HEADERS
    out: list[bytes] = []
    append = out.append
    for value in values:
        # For `isinstance` a bool is an int. It must not become a number.
        if type(value) is not int:
            return None
        if 0 <= value < 128:
            append(small[value])
        elif 128 <= value < 16384:
            append(b"\x0a\x07\x0a\x05\x0a\x03\x08%c%c" % (value & 127 | 128, value >> 7))
        elif 16384 <= value < 2097152:
            append(
                b"\x0a\x08\x0a\x06\x0a\x04\x08%c%c%c"
                % (value & 127 | 128, value >> 7 & 127 | 128, value >> 14)
            )
        # Flyte's integers have 64 bits.
        elif -(1 << 63) <= value < 1 << 63:
            body = signed(value)
            append(headers[len(body) + 1] + b"\x08" + body)
        else:
            return None
    return b"".join(out)


def _write_floats(values: "Sequence[Any]") -> "bytes | None":
    # Every element has the same 15 bytes. Seen as a matrix with a row for each element, its columns can be
    # copied by eight slice assignments instead of a loop over elements.
    if any(type(value) is not float for value in values):
        return None
    numbers = array("d", values)
    if _SWAP:
        numbers.byteswap()
    raw, count = numbers.tobytes(), len(numbers)
    out = bytearray((_HEADERS[9] + b"\x11" + bytes(8)) * count)
    for place in range(8):
        out[7 + place :: _FLOAT_SIZE] = raw[place::8]
    return bytes(out)


def _write_texts(values: "Sequence[Any]") -> "bytes | None":
    headers = _HEADERS
    out: list[bytes] = []
    append = out.append
    try:
        for value in values:
            body = value.encode("utf-8")
            size = len(body)
            if size < 122:
                append(headers[size + 2] + b"\x1a%c" % size + body)
            else:
                primitive = b"\x1a" + varint(size) + body
                append(field(b"\x0a", field(b"\x0a", field(b"\x0a", primitive))))
    except (AttributeError, TypeError, UnicodeEncodeError):
        return None  # the general code names the element in its error
    return b"".join(out)


def _write_booleans(values: "Sequence[Any]") -> "bytes | None":
    if any(value is not True and value is not False for value in values):
        return None
    return b"".join([_TRUE if value else _FALSE for value in values])


def _read_ints(data: bytes) -> "list[Any] | None":
    # One pass of a regular expression, in C, finds out whether all elements have the layout. After that
    # no offset needs a check.
    if not _plain_ints().fullmatch(data):
        return None
    out: list[Any] = []
    append = out.append
    at, end = 7, len(data)
    while at < end:
        first = data[at]
        if first < 128:
            append(first)
            at += 8
            continue
        second = data[at + 1]
        if second < 128:
            append(first & 127 | second << 7)
            at += 9
            continue
        third = data[at + 2]
        if third < 128:
            append(first & 127 | (second & 127) << 7 | third << 14)
            at += 10
            continue
        number, stop = read_varint(data, at)
        append(to_signed(number))
        # Before the next number are six bytes of headers and one of its tag.
        at = stop + 7
    return out


@functools.cache
def _plain_ints() -> "re.Pattern[bytes]":
    """Return the pattern of a whole column of ints: varints of one to ten bytes with their headers."""
    import re  # hosts that read no list of ints need not compile it

    elements = (
        re.escape(_HEADERS[size + 1]) + rb"\x08" + rb"[\x80-\xff]" * (size - 1) + rb"[\0-\x7f]"
        for size in range(1, 11)
    )
    return re.compile(rb"(?s:" + rb"|".join(elements) + rb")*")


def _read_floats(data: bytes) -> "list[Any] | None":
    count, rest = divmod(len(data), _FLOAT_SIZE)
    if rest:
        return None
    for place, byte in enumerate(_HEADERS[9] + b"\x11"):
        # The slice and `count` run in C, for all elements at once.
        if data[place::_FLOAT_SIZE].count(byte) != count:
            return None
    # The reverse of `_write_floats`.
    raw = bytearray(8 * count)
    for place in range(8):
        raw[place::8] = data[7 + place :: _FLOAT_SIZE]
    numbers = array("d")
    numbers.frombytes(raw)
    if _SWAP:
        numbers.byteswap()
    return numbers.tolist()


def _read_texts(data: bytes) -> "list[Any] | None":
    headers = _HEADERS
    out: list[Any] = []
    append = out.append
    at, end = 0, len(data)
    try:
        while at < end:
            size = data[at + 5]
            if data[at : at + 6] != headers[size] or data[at + 7] != size - 2:
                return None
            if data[at + 6] != 0x1A:
                return None
            stop = at + size + 6
            append(data[at + 8 : stop].decode("utf-8"))
            at = stop
    except (IndexError, UnicodeDecodeError):
        return None
    return out if at == end else None


def _read_booleans(data: bytes) -> "list[Any] | None":
    count, rest = divmod(len(data), 8)
    header = _HEADERS[2] + b"\x20"
    if rest or any(data[place::8].count(byte) != count for place, byte in enumerate(header)):
        return None
    bits = data[7::8]
    # To protobuf every number but 0 is true. The general code reads such booleans.
    return [bit == 1 for bit in bits] if max(bits) < 2 else None


_WRITERS: "dict[str, Callable[[Sequence[Any]], bytes | None]]" = {
    v.INTEGER: _write_ints,
    v.FLOAT: _write_floats,
    v.STRING: _write_texts,
    v.BOOLEAN: _write_booleans,
}
_READERS: "dict[int, tuple[str, Callable[[bytes], list[Any] | None]]]" = {
    0x08: (v.INTEGER, _read_ints),
    0x11: (v.FLOAT, _read_floats),
    0x1A: (v.STRING, _read_texts),
    0x20: (v.BOOLEAN, _read_booleans),
}
