"""Durations and times as Go prints them, in messages and templates."""

from datetime import datetime, timedelta, timezone


def go_duration(microseconds: int) -> str:
    """As Go's `time.Duration.String`: `1h0m2.5s`, `1.5s`, `10ms`, `0s`."""
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
    """Microseconds since the epoch as `2006-01-02T15:04:05.999999Z`, without trailing zeros."""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _trimmed(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
