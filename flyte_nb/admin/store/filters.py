"""The filter and sort grammar of list calls: text in, SQL conditions out. Pure.

`filters` are expressions `function(field, value)` joined by `+`; a value may be a list with `;`.
Source: flyteadmin/pkg/manager/impl/util/filters.go, flyteadmin/pkg/common/{filters,sorting}.go.
"""

from datetime import datetime, timezone
from typing import Any, NamedTuple

from flyteidl.admin import common_pb2

from flyte_nb.admin.refused import invalid, invalid_value
from flyte_nb.admin.store.resources import FOREIGN_CODES, RESOURCES, Resource
from flyte_nb.propeller.durations import go_nanoseconds

MAX_EXPRESSIONS = 100
"""SQLite refuses conditions that are nested 1000 deep, and every expression nests one deeper."""

MAX_VALUES = 10_000
"""Values of all expressions of one call. SQLite takes 32,766 of them, older releases fewer."""

MAX_PATTERN = 10_000
"""Characters of a `contains` or `not_like`: SQLite refuses longer patterns than 50,000 bytes."""

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
_PATTERNS = frozenset({"contains", "not_like"})
_REPEATED = {"value_in": "IN", "value_not_in": "NOT IN"}


class Condition(NamedTuple):
    """One condition on rows: SQL with marks, the values for the marks, and the noun it joins."""

    sql: str
    values: tuple[Any, ...]
    joins: str = ""
    field: str = ""
    """The column that the filter named, when it is one of the noun's own."""


def parse_filters(text: str, resource: Resource) -> list[Condition]:
    """Return the conditions that `text` asks for, on rows of `resource`; none when it is empty.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the text is not of the grammar, names an unknown column, or
            asks for more than the database can answer.
    """
    if not text:
        return []
    # Counted before anything is parsed, so that a huge text costs little.
    expressions = text.count("+") + 1
    if expressions > MAX_EXPRESSIONS:
        raise invalid(
            f"invalid value for filters: {expressions} expressions; send at most {MAX_EXPRESSIONS}"
        )
    values = text.count(";") + expressions
    if values > MAX_VALUES:
        raise invalid(
            f"invalid value for filters: {values} values; send at most {MAX_VALUES} in one call"
        )
    return [_parse_expression(expression, resource) for expression in text.split("+")]


def order_by(sort: common_pb2.Sort, resource: Resource, default: str = "id ASC") -> str:
    """Return the `ORDER BY` of a list; `default` when the request has no sort key.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the key is not a column of the noun.
    """
    if not sort.key:
        return ", ".join(f"{resource.table}.{part}" for part in default.split(", "))
    # The key becomes a part of the SQL as it is, so only known columns may pass.
    if sort.key not in resource.columns:
        raise invalid(f"invalid sort key '{sort.key}'")
    direction = "ASC" if sort.direction == common_pb2.Sort.ASCENDING else "DESC"
    # By the id too: rows with equal keys must not change places between two pages.
    return f"{resource.table}.{sort.key} {direction}, {resource.table}.id {direction}"


def _parse_expression(expression: str, primary: Resource) -> Condition:
    parts = split_expression(expression)
    if parts is None:
        raise invalid_value("filters")
    function, field, text = parts
    prefix, resource, field = _resolve(field, primary)
    column = "key" if prefix == "admin_tag" and field == "name" else field
    if primary.is_run and resource.is_run and field in ("project", "domain", "name"):
        # Rows below an execution have no `project` of their own; filters mean the execution's.
        column = f"execution_{field}"
    values = tuple(_value(column, value, resource) for value in text.split(";"))
    name = f"{resource.table}.{column}"
    own = "" if prefix else column
    if function in _REPEATED:
        marks = ", ".join("?" * len(values))
        if column == "version":
            # `+` keeps SQLite from using the index for this column. With the index it would look up
            # each name with each version.
            name = f"+{name}"
        return Condition(f"{name} {_REPEATED[function]} ({marks})", values, prefix, own)
    if function not in _SINGLE:
        raise invalid(f"unrecognized filter function: {function}")
    if len(values) != 1:
        raise invalid(f"invalid single value filter expression: {function}")
    if function in _PATTERNS and len(str(values[0])) > MAX_PATTERN:
        raise invalid(
            f"invalid value for filters: {function} takes at most {MAX_PATTERN} characters"
        )
    if function == "contains":
        values = (f"%{values[0]}%",)
    return Condition(f"{name} {_SINGLE[function]} ?", values, prefix, own)


def split_expression(text: str) -> "tuple[str, str, str] | None":
    r"""Split `function(field, value)` into its three parts; return `None` for any other text.

    Finds what Flyte's pattern `(.+)\((.+),\s?(.+)\)` finds on one line: the last parenthesis that
    closes, the last comma before it, the last parenthesis that opens before that. Python's own engine
    tries every combination of them, which takes minutes for 400 characters.
    """
    if "\n" in text:
        return None
    close = text.rfind(")")
    comma = text.rfind(",", 0, max(close - 1, 0))
    opening = text.rfind("(", 1, max(comma - 1, 0))
    if opening < 0:
        return None
    value = text[comma + 1 : close]
    if len(value) > 1 and value[0] in _SPACE:
        value = value[1:]
    return text[:opening], text[opening + 1 : comma], value


_SPACE = " \t\r\f"
"""What Go's `\\s` matches, except for the end of a line."""


def _resolve(field: str, primary: Resource) -> tuple[str, Resource, str]:
    """Return the join (empty for the noun itself), the noun and the column that `field` means."""
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
    """Return a time as the tables hold it.

    A text that is no time is compared as it is, as PostgreSQL does with FlyteAdmin's filters.
    """
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return time_text(moment)
    except (ValueError, OverflowError):  # overflow: in UTC the time is before year 1 or after 9999
        return text


def time_text(moment: datetime) -> str:
    """Return a time as the tables hold it: UTC, microseconds, sortable as text."""
    # Not `strftime`: on Linux it writes the year 999 with three digits, which would sort wrongly.
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


def _nanoseconds(text: str) -> int:
    """Return seconds, or a duration in Go's spelling (`1h30m`), in nanoseconds."""
    nanoseconds = go_nanoseconds(text)
    if nanoseconds is None:
        raise invalid(f"Failed to parse duration [{text}]")
    return nanoseconds
