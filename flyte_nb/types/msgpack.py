"""msgpack for plain data that JSON cannot carry over the pipe: bytes, and keys that are not text.

The ring has the standard library only, so this file implements the part of the format that flytekit's
structs use. On the host the package `msgpack` packs everything else.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from typing import Any

from flyte_nb.api.errors import CodecError

_DEEPEST = 500  # levels, well below the depth at which Python's own stack ends


def packb(plain: object) -> bytes:
    """Return the plain data as msgpack. It is the inverse of `unpackb`, but tuples become lists.

    Raises:
        CodecError: when a part is not plain data, is too large for the format, or is nested too deeply.
    """
    out: list[bytes] = []
    _pack(plain, out, 0)
    return b"".join(out)


def unpackb(data: bytes) -> Any:
    """Return the plain data that `data` holds.

    Raises:
        CodecError: when `data` is damaged, is nested too deeply, or holds extension types.
    """
    try:
        value, end = _unpack(data, 0, 0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
        raise CodecError(f"The msgpack data is damaged: {error}.") from None
    if end != len(data):
        raise CodecError("The msgpack data is damaged: bytes follow its end.")
    return value


def _pack(value: object, out: "list[bytes]", depth: int) -> None:
    if depth > _DEEPEST:
        raise CodecError(
            "The value is nested too deeply.", hint="Flatten it, or declare it as Any."
        )
    if value is None:
        out.append(b"\xc0")
    elif isinstance(value, bool):  # before int, of which bool is a subclass
        out.append(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        out.append(_pack_int(value))
    elif isinstance(value, float):
        out.append(struct.pack(">Bd", 0xCB, value))
    elif isinstance(value, str):
        # Text may have lone surrogates, e.g. file names. They must survive the way to the same task.
        raw = value.encode("utf-8", "surrogatepass")
        out.append(_head(len(raw), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + raw)
    elif isinstance(value, (bytes, bytearray)):
        out.append(_head(len(value), None, 0, (0xC4, 0xC5, 0xC6)) + bytes(value))
    elif isinstance(value, (list, tuple)):
        out.append(_head(len(value), 0x90, 16, (None, 0xDC, 0xDD)))
        for item in value:
            _pack(item, out, depth + 1)
    elif isinstance(value, dict):
        out.append(_head(len(value), 0x80, 16, (None, 0xDE, 0xDF)))
        for key, item in value.items():
            _pack(key, out, depth + 1)
            _pack(item, out, depth + 1)
    else:
        raise CodecError(f"{type(value).__name__} is not plain data.")


def _pack_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b" if value < 0 else ">B", value)
    # The shortest form, as the package msgpack writes it: equal values need equal bytes.
    if value < 0:
        for code, form, low in ((0xD0, "b", -(2**7)), (0xD1, "h", -(2**15)), (0xD2, "i", -(2**31))):
            if value >= low:
                return struct.pack(f">B{form}", code, value)
        if value >= -(2**63):
            return struct.pack(">Bq", 0xD3, value)
    for code, form, high in ((0xCC, "B", 2**8), (0xCD, "H", 2**16), (0xCE, "I", 2**32)):
        if 0 <= value < high:
            return struct.pack(f">B{form}", code, value)
    if 0 <= value < 2**64:
        return struct.pack(">BQ", 0xCF, value)
    raise CodecError(f"{value} does not fit 64 bits.", hint="Pass it as str.")


def _head(
    size: int, fixed: "int | None", below: int, codes: "tuple[int | None, int, int]"
) -> bytes:
    """Return the first bytes of a value with a length, in the shortest form.

    Args:
        size: the length.
        fixed: the base of the one-byte form; `None` where the type has none.
        below: the one-byte form is for smaller sizes.
        codes: the type's codes for lengths of 8, 16 and 32 bits; `None` where it has no 8-bit form.
    """
    if fixed is not None and size < below:
        return bytes((fixed | size,))
    if codes[0] is not None and size < 2**8:
        return bytes((codes[0], size))
    if size < 2**16:
        return struct.pack(">BH", codes[1], size)
    if size < 2**32:
        return struct.pack(">BI", codes[2], size)
    raise CodecError("The value is larger than 4 GB.", hint="Pass it as a FlyteFile.")


# By first byte: struct format and size of a number.
_NUMBERS = {
    0xCA: (">f", 4),
    0xCB: (">d", 8),
    0xCC: (">B", 1),
    0xCD: (">H", 2),
    0xCE: (">I", 4),
    0xCF: (">Q", 8),
    0xD0: (">b", 1),
    0xD1: (">h", 2),
    0xD2: (">i", 4),
    0xD3: (">q", 8),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# By first byte: the family of a value with a length, and how its length is written.
_SIZED = {
    **dict.fromkeys((0xC4, 0xC5, 0xC6), "bin"),
    **dict.fromkeys((0xD9, 0xDA, 0xDB), "str"),
    **dict.fromkeys((0xDC, 0xDD), "array"),
    **dict.fromkeys((0xDE, 0xDF), "map"),
}
_SIZES = {
    **dict.fromkeys((0xC4, 0xD9), (">B", 1)),
    **dict.fromkeys((0xC5, 0xDA, 0xDC, 0xDE), (">H", 2)),
    **dict.fromkeys((0xC6, 0xDB, 0xDD, 0xDF), (">I", 4)),
}


def _unpack(data: bytes, at: int, depth: int) -> "tuple[Any, int]":
    """Return the value at the offset `at`, and the offset behind it."""
    if depth > _DEEPEST:
        raise CodecError("The msgpack data is nested too deeply.")
    code = data[at]
    at += 1
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 256, at
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    if code in _NUMBERS:
        form, width = _NUMBERS[code]
        return struct.unpack_from(form, data, at)[0], at + width
    # 0x80 to 0xbf: small maps, arrays and texts have their size in the first byte itself.
    if code < 0x90:
        return _unpack_sized("map", code & 0x0F, data, at, depth)
    if code < 0xA0:
        return _unpack_sized("array", code & 0x0F, data, at, depth)
    if code < 0xC0:
        return _unpack_sized("str", code & 0x1F, data, at, depth)
    if code in _SIZED:
        form, width = _SIZES[code]
        size = struct.unpack_from(form, data, at)[0]
        return _unpack_sized(_SIZED[code], size, data, at + width, depth)
    raise CodecError(f"The msgpack data has an extension type (0x{code:02x}).")


def _unpack_sized(form: str, size: int, data: bytes, at: int, depth: int) -> "tuple[Any, int]":
    if form in ("bin", "str"):
        raw = data[at : at + size]
        if len(raw) != size:  # a slice beyond the end is shorter, without an error
            raise CodecError("The msgpack data is damaged: it ends too early.")
        text = raw.decode("utf-8", "surrogatepass") if form == "str" else raw
        return text, at + size
    if form == "array":
        items = []
        for _ in range(size):
            item, at = _unpack(data, at, depth + 1)
            items.append(item)
        return items, at
    pairs = {}
    for _ in range(size):
        key, at = _unpack(data, at, depth + 1)
        pairs[key], at = _unpack(data, at, depth + 1)
    return pairs, at
