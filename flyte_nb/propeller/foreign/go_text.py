"""Values as Go's `fmt` prints them with `%v`, which is how propeller writes them into a command. Pure.

Source: Go's fmt/print.go and strconv/ftoa.go.
"""

import math
from typing import Any

import msgpack

_msgpack: Any = msgpack
"""msgpack's own functions carry no types."""

_MOST_DIGITS = 6
"""strconv's precision for the choice between `%e` and `%f` when the digits are the shortest."""


def go_float(number: float) -> str:
    """Return a float as `%v` prints it: the shortest digits that read back equal; `1e+06`, but `100000`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    sign, digits, exponent = _shortest(number)
    if exponent < -4 or exponent >= _MOST_DIGITS:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return _plain(sign, digits, exponent)


def go_float_plain(number: float) -> str:
    """Return a float as `strconv.FormatFloat(number, 'f', -1, 64)` writes it: without an exponent."""
    if not math.isfinite(number):
        return go_float(number)
    return _plain(*_shortest(number))


def go_packed(data: bytes) -> str:
    """Return what msgpack holds as `%v` prints it: `map[a:1 b:[2 3]]`, `<nil>`.

    Raises:
        ValueError: when the bytes are not msgpack.
    """
    try:
        return _printed(_msgpack.unpackb(data, raw=False, strict_map_key=False))
    except (_msgpack.exceptions.UnpackException, RecursionError, TypeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _shortest(number: float) -> "tuple[str, str, int]":
    """Return the sign, the shortest digits, and the exponent of the first one."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign, "0", 0
    first = len(whole + fraction) - len(digits)
    place = len(whole) - 1 - first + int(exponent or 0)
    return sign, digits.rstrip("0"), place


def _plain(sign: str, digits: str, exponent: int) -> str:
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _printed(value: object) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        # `fmt` sorts the keys of a map.
        items = sorted(value.items(), key=lambda item: str(item[0]))
        return f"map[{' '.join(f'{_printed(key)}:{_printed(item)}' for key, item in items)}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if isinstance(value, bytes):
        return f"[{' '.join(map(str, value))}]"
    return str(value)
