"""Schedules of launch plans: `CronSchedule` and `FixedRate`. The names are flytekit's."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

_ALIASES = frozenset(
    word
    for alias in (
        "hourly", "daily", "weekly", "monthly", "annually", "yearly",
    )
    for word in (alias, f"@{alias}")
) | {"hours", "days", "weeks", "months", "years"}  # fmt: skip
"""Words in place of five fields (flytekit/core/schedule.py, flyteadmin/scheduler)."""

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_FIELDS: "tuple[tuple[str, int, int, Sequence[str]], ...]" = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_OFFSET = re.compile(r"[-+]?P(?=.)([-+\d]+[YMWD])*(T(?=.)([-+\d]+[HM])*([-+\d.,]+S)?)?")


class Schedule:
    """When a launch plan starts an execution by itself, once it is activated."""

    spec: specs.Schedule

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and other.spec == self.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    @property
    def kickoff_time_input_arg(self) -> str:
        """The input that gets the planned time of the execution; empty when none does."""
        return self.spec.kickoff_time_input_arg


class CronSchedule(Schedule):
    """Start at the times of a cron expression, in UTC: `CronSchedule(schedule="0 6 * * 1")`.

    Args:
        schedule: minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily`, `@weekly`,
            `@monthly`, `@yearly`.
        offset: an ISO 8601 duration by which every start is moved, e.g. `PT10M`.
        kickoff_time_input_arg: the `datetime` input of the workflow that gets the planned time.
        cron_expression: flytekit's old name for expressions of AWS, with six fields. It is refused.

    Raises:
        UsageError: a field is missing, or has a value that it cannot have.
    """

    def __init__(
        self,
        cron_expression: "str | None" = None,
        schedule: "str | None" = None,
        offset: "str | None" = None,
        kickoff_time_input_arg: "str | None" = None,
    ) -> None:
        if cron_expression is not None:
            raise UsageError(
                f"CronSchedule({cron_expression!r}): write schedule='minute hour day month weekday'."
                " Expressions of AWS with six fields are not supported any more."
            )
        if not isinstance(schedule, str):
            raise UsageError(
                f"CronSchedule(schedule={schedule!r}): write e.g. schedule='0 6 * * 1'."
            )
        _check_cron(schedule)
        if offset is not None and not (isinstance(offset, str) and _OFFSET.fullmatch(offset)):
            raise UsageError(f"offset={offset!r}: write an ISO 8601 duration, e.g. offset='PT10M'.")
        self.spec = specs.Schedule(
            cron=schedule,
            offset=offset or "",
            kickoff_time_input_arg=_input(kickoff_time_input_arg),
        )

    def __repr__(self) -> str:
        return f"CronSchedule(schedule={self.spec.cron!r})"


class FixedRate(Schedule):
    """Start again and again after the same time: `FixedRate(duration=timedelta(minutes=10))`.

    Args:
        duration: whole minutes, hours or days.
        kickoff_time_input_arg: the `datetime` input of the workflow that gets the planned time.

    Raises:
        UsageError: the duration is no timedelta, or has a part that is less than a minute.
    """

    def __init__(self, duration: "timedelta", kickoff_time_input_arg: "str | None" = None) -> None:
        seconds = duration.total_seconds() if hasattr(duration, "total_seconds") else 0
        if seconds < 60 or seconds % 60:
            raise UsageError(
                f"FixedRate(duration={duration!r}): write a timedelta of whole minutes, at least one."
            )
        minutes = int(seconds // 60)
        value, unit = minutes, "MINUTE"
        for size, larger in ((24 * 60, "DAY"), (60, "HOUR")):
            if minutes % size == 0:
                value, unit = minutes // size, larger
                break
        self.spec = specs.Schedule(
            rate_value=value,
            rate_unit=unit,
            kickoff_time_input_arg=_input(kickoff_time_input_arg),
        )

    def __repr__(self) -> str:
        unit = self.spec.rate_unit.lower() + ("s" if self.spec.rate_value != 1 else "")
        return f"FixedRate(every {self.spec.rate_value} {unit})"


def _input(name: "str | None") -> str:
    if name is None or isinstance(name, str):
        return name or ""
    raise UsageError(f"kickoff_time_input_arg={name!r}: write the name of an input.")


def _check_cron(text: str) -> None:
    """Check a cron expression: five fields, each with values, ranges and steps.

    Raises:
        UsageError: a field is missing, or has a value that it cannot have; it names the field.
    """
    if text.lower() in _ALIASES:
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise UsageError(
            f"schedule={text!r} has {len(fields)} fields. Write five: minute, hour, day of the month, month,"
            " day of the week, e.g. '0 6 * * 1' for Mondays at 6:00 UTC; or a word like @daily."
        )
    for value, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in value.split(","):
            if not _fits(part, least, most, words):
                raise UsageError(
                    f"schedule={text!r}: {part!r} is no {name}. Write a number from {least} to {most}, a"
                    f" range ({least}-{most}), * for each, or a step (*/{max(2, least)})."
                )


def _fits(part: str, least: int, most: int, words: "Sequence[str]") -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdecimal() and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    ends = [_number(end, words) for end in span.split("-")]
    if len(ends) > 2 or any(end is None or not least <= end <= most for end in ends):
        return False
    first, last = ends[0], ends[-1]
    return first is not None and last is not None and first <= last


def _number(text: str, words: "Sequence[str]") -> "int | None":
    if text.isascii() and text.isdecimal():
        return int(text)
    if text.upper() in words:
        # Months count from 1, days of the week from 0.
        return words.index(text.upper()) + (1 if len(words) == len(_MONTHS) else 0)
    return None
