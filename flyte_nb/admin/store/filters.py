"""The filter and sort grammar of list calls: text in, SQL conditions out. Nothing here touches a database.

`filters` are expressions `function(field, value)` joined by `+`; a value may be a list with `;`.
Source: flyteadmin/pkg/manager/impl/util/filters.go, flyteadmin/pkg/common/{filters,sorting}.go.
"""

import re
from datetime import datetime, timezone
from typing import Any, NamedTuple

from flyteidl.admin import common_pb2

from flyte_nb.admin.refused import Refused, invalid, invalid_value
from flyte_nb.admin.store.resources import FOREIGN_CODES, RESOURCES, Resource

_EXPRESSION = re.compile(r"(.+)\((.+),\s?(.+)\)")
_SINGLE = {
    "contains": "LIKE",
    "not_like": "NOT LIKE",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "eq": "=",
    "ne": "<>",
}
_REPEATED = {"value_in": "IN", "value_not_in": "NOT IN"}
_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


class Condition(NamedTuple):
    """One condition on rows: SQL with marks, the values for the marks, and the noun it joins."""

    sql: str
    values: tuple[Any, ...]
    joins: str = ""
    field: str = ""
    """The column that the filter named, when it is one of the noun's own."""


def parse_filters(text: str, resource: Resource) -> list[Condition]:
    """The conditions that `text` asks for, on rows of `resource`; none when it is empty.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the text is not of the grammar or names no such column.
    """
    if not text:
        return []
    return [_parse_expression(expression, resource) for expression in text.split("+")]


def order_by(sort: common_pb2.Sort, resource: Resource, default: str = "id ASC") -> str:
    """The `ORDER BY` of a list; `default` when the caller does not care.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the key is not a column of the noun.
    """
    if not sort.key:
        return ", ".join(f"{resource.table}.{part}" for part in default.split(", "))
    if sort.key not in resource.columns:
        raise invalid(f"invalid sort key '{sort.key}'")
    direction = "ASC" if sort.direction == common_pb2.Sort.ASCENDING else "DESC"
    return f"{resource.table}.{sort.key} {direction}, {resource.table}.id {direction}"


def _parse_expression(expression: str, primary: Resource) -> Condition:
    match = _EXPRESSION.search(expression)
    if match is None:
        raise invalid_value("filters")
    function, field, text = match.groups()
    prefix, resource, field = _resolve(field, primary)
    column = "key" if prefix == "admin_tag" and field == "name" else field
    if primary.is_run and resource.is_run and field in ("project", "domain", "name"):
        column = f"execution_{field}"
    values = tuple(_value(column, value, resource) for value in text.split(";"))
    name = f"{resource.table}.{column}"
    own = "" if prefix else column
    if function in _REPEATED:
        marks = ", ".join("?" * len(values))
        if column == "version":
            # `+` keeps it out of the index: SQLite would look up every name with every version.
            name = f"+{name}"
        return Condition(f"{name} {_REPEATED[function]} ({marks})", values, prefix, own)
    if function not in _SINGLE:
        raise invalid(f"unrecognized filter function: {function}")
    if len(values) != 1:
        raise invalid(f"invalid single value filter expression: {function}")
    if function == "contains":
        values = (f"%{values[0]}%",)
    return Condition(f"{name} {_SINGLE[function]} ?", values, prefix, own)


def _resolve(field: str, primary: Resource) -> tuple[str, Resource, str]:
    """The join (empty for the noun itself), the noun and the column that `field` means."""
    prefix, dot, rest = field.partition(".")
    if not dot:
        prefix, rest = "", field
    if prefix in FOREIGN_CODES:
        raise invalid(f"'{FOREIGN_CODES[prefix]}' entity is not allowed in filters")
    resource = RESOURCES.get(prefix) if prefix else primary
    if resource is None:
        raise invalid(f"'{primary.code}.{field}' is invalid filter")
    if resource is primary:
        prefix = ""
    elif prefix not in primary.joins:
        raise invalid(f"'{resource.code}' entity is not allowed in filters")
    if rest not in resource.columns:
        raise invalid(f"'{resource.code}.{rest}' is invalid filter")
    return prefix, resource, rest


def _value(column: str, text: str, resource: Resource) -> Any:
    if column == "duration":
        return _nanoseconds(text)
    if column in resource.times:
        return _time(text)
    return text


def _time(text: str) -> str:
    """A time as the tables hold it. What is no time is compared as it stands, as SQL would."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return time_text(moment)


def time_text(moment: datetime) -> str:
    """A time as the tables hold it: UTC, microseconds, sortable as text."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _nanoseconds(text: str) -> int:
    """Seconds, or a duration in Go's spelling (`1h30m`), in nanoseconds."""
    try:
        return int(float(text) * 10**9)
    except ValueError:
        pass
    parts = _DURATION.findall(text.lstrip("-"))
    if not parts or "".join(number + unit for number, unit in parts) != text.lstrip("-"):
        raise _no_duration(text)
    total = sum(int(float(number) * _NANOSECONDS[unit]) for number, unit in parts)
    return -total if text.startswith("-") else total


def _no_duration(text: str) -> Refused:
    return invalid(f"Failed to parse duration [{text}]")
