"""Codecs of datetime, date and timedelta.

A literal holds an int of microseconds, since 1970 in UTC or of length. A struct holds what mashumaro writes:
ISO text of a datetime or date, seconds of a timedelta.
"""

# ruff: noqa: D102 - `Codec` documents these methods
from datetime import date, datetime, timedelta, timezone
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import simple
from flyte_nb.api.literals import Plain
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, JsonSchema, mismatch, show
from flyte_nb.types.scalars import ScalarCodec

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(seconds=315_576_000_000)  # google/protobuf/duration.proto


class DatetimeCodec(ScalarCodec):
    """Codec of datetime. One without a time zone counts as UTC, and every decoded one is in UTC."""

    transformer = "datetime"
    column_kind = literals.DATETIME

    def __init__(self) -> None:
        super().__init__(datetime, simple(literal_types.DATETIME))

    @classmethod
    def of(cls, python_type: object) -> "DatetimeCodec":
        """Return the codec; the type has no parameters."""
        return cls()

    def check(self, value: object) -> Plain:
        if type(value) is not datetime:
            if not isinstance(value, datetime):
                raise mismatch(self, value)
            value = _plain(value)
        if value.tzinfo is None:
            value = value.replace(tzinfo=timezone.utc)
        # Integers throughout: `timestamp()` is a float, which cannot hold microseconds of far years.
        return (value - _EPOCH) // _MICROSECOND

    def read(self, plain: Plain) -> Any:
        return _EPOCH + timedelta(microseconds=plain)

    def column(self, values: "list[Any]") -> "list[Plain]":
        return self.each(self.check, values)

    def uncolumn(self, plain: "list[Plain]") -> "list[Any]":
        return list(map(self.read, plain))

    def pack(self, value: Any, data: "DataAccess | None") -> object:
        self.check(value)
        return value.isoformat()

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return _from_iso(self, plain)

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "date-time"}

    def nearest(self, value: object) -> object:
        if type(value) is date:
            return datetime(value.year, value.month, value.day)
        return _parsed(value)


class DateCodec(ScalarCodec):
    """Codec of date. A literal holds midnight UTC of that day."""

    transformer = "date"
    column_kind = literals.DATETIME

    def __init__(self) -> None:
        super().__init__(date, simple(literal_types.DATETIME))

    @classmethod
    def of(cls, python_type: object) -> "DateCodec":
        """Return the codec; the type has no parameters."""
        return cls()

    def check(self, value: object) -> Plain:
        # A datetime is a date in Python, and its time would be lost.
        if not isinstance(value, date) or isinstance(value, datetime):
            raise mismatch(self, value)
        return timedelta(days=value.toordinal() - _EPOCH.toordinal()) // _MICROSECOND

    def read(self, plain: Plain) -> Any:
        return (_EPOCH + timedelta(microseconds=plain)).date()

    def column(self, values: "list[Any]") -> "list[Plain]":
        return self.each(self.check, values)

    def uncolumn(self, plain: "list[Plain]") -> "list[Any]":
        return list(map(self.read, plain))

    def pack(self, value: Any, data: "DataAccess | None") -> object:
        self.check(value)
        return value.isoformat()

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        return _from_iso(self, plain).date()

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "date"}

    def nearest(self, value: object) -> object:
        if isinstance(value, datetime):
            return value.date()
        found = _parsed(value)
        return None if found is None else found.date()


class TimedeltaCodec(ScalarCodec):
    """Codec of timedelta."""

    transformer = "timedelta"
    column_kind = literals.DURATION

    def __init__(self) -> None:
        super().__init__(timedelta, simple(literal_types.DURATION))

    @classmethod
    def of(cls, python_type: object) -> "TimedeltaCodec":
        """Return the codec; the type has no parameters."""
        return cls()

    def check(self, value: object) -> Plain:
        """Return the length in microseconds.

        Raises:
            CodecError: when the value is not a timedelta, or exceeds 10,000 years.
        """
        if not isinstance(value, timedelta):
            raise mismatch(self, value)
        if not -_LONGEST <= value <= _LONGEST:
            raise CodecError(f"{show(value)} exceeds the 10,000 years that Flyte can hold.")
        return value // _MICROSECOND

    def read(self, plain: Plain) -> Any:
        return timedelta(microseconds=plain)

    def column(self, values: "list[Any]") -> "list[Plain]":
        return self.each(self.check, values)

    def uncolumn(self, plain: "list[Plain]") -> "list[Any]":
        return list(map(self.read, plain))

    def pack(self, value: Any, data: "DataAccess | None") -> object:
        self.check(value)
        return value.total_seconds()

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if isinstance(
            plain, timedelta
        ):  # `unpack` of a dict that an author wrote, not of read data
            return plain
        if isinstance(plain, (int, float)) and not isinstance(plain, bool):
            return _seconds(self, plain)
        raise mismatch(self, plain)

    def schema(self) -> JsonSchema:
        return {"type": "number", "format": "time-delta"}

    def nearest(self, value: object) -> object:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return timedelta(seconds=value)
            except (OverflowError, ValueError):
                return None
        return None


def _plain(value: datetime) -> datetime:
    """Return the datetime of a subclass, e.g. pandas.Timestamp, as one of Python's own.

    Raises:
        CodecError: when it is `pandas.NaT`, or has nanoseconds, which would be lost.
    """
    if value != value:  # pandas.NaT
        raise CodecError(
            f"{show(value)} is not a time.", hint="Declare datetime | None and pass None."
        )
    if getattr(value, "nanosecond", 0):
        raise CodecError(
            f"{show(value)} has nanoseconds, and Flyte keeps microseconds.",
            hint="Round it first, e.g. value.floor('us').",
        )
    return datetime.combine(value.date(), value.timetz())


def _from_iso(codec: Codec, text: object) -> datetime:
    found = _parsed(text)
    if found is None:
        raise mismatch(codec, text)
    return found


def _parsed(text: object) -> "datetime | None":
    """Return the time that a text in ISO 8601 names, or `None` when it names none."""
    if not isinstance(text, str):
        return None
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"  # Python 3.10 does not read Z
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _seconds(codec: Codec, seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise mismatch(codec, seconds) from None
