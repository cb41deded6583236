"""Durations and times in Go's spelling, for messages, templates and filters.

Source: Go's `time.ParseDuration`, `time.Duration.String` and `time.RFC3339Nano`.
"""

import re
from datetime import datetime, timedelta, timezone

_MAX_DURATION = 100
"""The longest text that is read, in characters. Clients send durations, and reading takes bounded time."""

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # the micro sign
    "μs": 10**3,  # the Greek letter
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def go_nanoseconds(text: str, *, plain_seconds: bool = True) -> "int | None":
    """Return a duration in Go's spelling (`1h30m`, `-1.5s`) in nanoseconds; `None` when the text is not one.

    Args:
        text: The duration.
        plain_seconds: Whether a number without a unit means seconds.
    """
    if len(text) > _MAX_DURATION:
        return None
    total = _plain(text) if plain_seconds else None
    if total is None:
        total = _with_units(text)
    # Go keeps a duration in 64 bits.
    return total if total is not None and abs(total) < 1 << 63 else None


def _plain(text: str) -> "int | None":
    if "_" in text or text != text.strip():  # Python reads those as numbers, Go does not
        return None
    try:
        return int(float(text) * 10**9)
    except (ValueError, OverflowError):  # the latter for infinity
        return None


def _with_units(text: str) -> "int | None":
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    end, total = 0, 0
    for match in _PART.finditer(rest):
        if match.start() != end:
            return None
        end = match.end()
        number, unit = match.groups()
        total += int(float(number) * _UNITS[unit])
    return sign * total if end and end == len(rest) else None


def go_duration(microseconds: int) -> str:
    """Return a duration as Go's `time.Duration.String` writes it: `1h0m2.5s`, `1.5s`, `10ms`, `0s`."""
    if microseconds < 0:
        return "-" + go_duration(-microseconds)
    if microseconds == 0:
        return "0s"
    if microseconds < 1000:
        return f"{microseconds}µs"
    if microseconds < 1_000_000:
        return _trimmed(microseconds / 1000) + "ms"
    minutes, rest = divmod(microseconds, 60_000_000)
    seconds = _trimmed(rest / 1_000_000) + "s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"


def rfc3339(microseconds: int) -> str:
    """Return microseconds since the epoch as `2006-01-02T15:04:05.999999Z`, without trailing zeros.

    Raises:
        OverflowError: when the year is not between 1 and 9999.
    """
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
    text = moment.isoformat(timespec="seconds")[:-6]  # `strftime` writes the year 999 as 999
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _trimmed(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
