"""Convert what a person types into a field of a form to a literal of the field's type, and back. Pure.

`read(write(literal, type), type) == literal` for every literal that can be typed at all. A message has no
subject, because it is shown beside the field: "is not an int: “eight”". It says which part is wrong.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import yaml

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.literals import NOTHING, Literal

# Literals have times as microseconds since 1970, and durations as microseconds.
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class Unreadable(ValueError):
    """Raised when a text is not a value of the type. The message says why, without a subject."""


def is_simple(type: LiteralType, name: str) -> bool:
    """Return whether `type` is that simple type. Metadata does not count: a dataclass is a `STRUCT`."""
    return type.kind == lt.SIMPLE and bool(type.value == name)


def read(text: str, type: LiteralType) -> Literal:
    """Return the literal that the text stands for.

    Numbers, booleans and texts are written as in Python, texts without quotes. Times are written as
    `2026-11-01 09:30`, durations as `90s` or `1:30:00`. `3, 5, 8` is a list of plain values. Everything else
    with a structure is YAML or JSON. An empty text is `None` where the type allows it.

    Raises:
        Unreadable: the text is not a value of the type.
    """
    if type.kind == lt.SIMPLE:
        return _SIMPLE.get(type.value, _no_text)(text)
    if type.kind == lt.ENUM:
        if text not in type.value:
            raise Unreadable(f"is not one of {', '.join(type.value)}")
        return Literal(li.STRING, text)
    if type.kind == lt.UNION:
        return _read_union(text, type)
    if type.kind == lt.COLLECTION:
        return from_data(_list_of(text, type.value), type)
    if type.kind == lt.MAP:
        return from_data(_structured(text), type)
    if type.kind == lt.BLOB:
        return Literal(li.BLOB, (_required(text, "a path or a URI"), type.value))
    if type.kind == lt.STRUCTURED_DATASET:
        return Literal(li.STRUCTURED_DATASET, (_required(text, "a frame or a URI"), type.value))
    raise Unreadable(f"a {describe(type)} cannot be typed; give the name of a variable")


def from_data(data: Any, type: LiteralType, place: str = "") -> Literal:
    """Return the literal for data as YAML gives it.

    Args:
        data: Lists, mappings and scalars.
        type: The type of the literal.
        place: Where the data is inside of the field, for messages; empty at the top.

    Raises:
        Unreadable: the data does not fit. The message names the item.
    """
    if type.kind == lt.COLLECTION:
        return _collection(data, type, place)
    if type.kind == lt.MAP:
        if not isinstance(data, Mapping):
            raise Unreadable(at_place(place, f"is not a mapping: {quoted(data)}"))
        return Literal(
            li.MAP,
            {
                str(key): from_data(value, type.value, below_place(place, f"{key!r}"))
                for key, value in data.items()
            },
        )
    if type.kind == lt.UNION:
        return _union_of(lambda variant: from_data(data, variant, place), data is None, type)
    if is_simple(type, lt.STRUCT):
        if not isinstance(data, Mapping):
            raise Unreadable(at_place(place, f"is not a mapping: {quoted(data)}"))
        return Literal(li.STRUCT, _json_like(data))
    # To Python, True is 1. A person who writes `true` into a list of numbers made a mistake.
    if isinstance(data, bool) and not is_simple(type, lt.BOOLEAN):
        raise Unreadable(at_place(place, f"is not {_article(type)}: {quoted(data)}"))
    # A scalar is read from its text, by the same rules as a field.
    text = data.isoformat() if isinstance(data, datetime) else _as_text(data)
    try:
        return read(text, type)
    except Unreadable as error:
        raise Unreadable(at_place(place, str(error))) from None


def write(literal: Literal, type: LiteralType) -> str:
    """Return the text that `read` turns into the literal; empty for a literal that cannot be typed."""
    if type.kind == lt.UNION and literal.kind == li.UNION:
        return write(*literal.value)
    if literal.kind in (li.COLUMN, li.COLLECTION, li.MAP, li.STRUCT):
        return _write_structure(literal, type)
    if literal.kind == li.BOOLEAN:
        return "true" if literal.value else "false"
    if literal.kind == li.DATETIME:
        return _datetime_text(literal.value)
    if literal.kind == li.DURATION:
        return _duration_text(literal.value)
    if literal.kind in (li.BLOB, li.STRUCTURED_DATASET):
        return str(literal.value[0])
    if literal.kind in (li.INTEGER, li.FLOAT, li.STRING):
        return str(literal.value)
    return ""


def to_data(literal: Literal, type: LiteralType) -> Any:
    """Return the literal as data that YAML can write. It is the inverse of `from_data`."""
    if literal.kind == li.UNION:
        return to_data(*literal.value)
    if literal.kind == li.COLUMN:
        kind, values = literal.value
        return [to_data(Literal(kind, value), type.value) for value in values]
    if literal.kind == li.COLLECTION:
        return [to_data(item, type.value) for item in literal.value]
    if literal.kind == li.MAP:
        return {key: to_data(item, type.value) for key, item in literal.value.items()}
    if literal.kind in (li.STRUCT, li.INTEGER, li.FLOAT, li.STRING, li.BOOLEAN):
        return literal.value
    return None if literal.kind == li.NONE else write(literal, type)


def _integer(text: str) -> Literal:
    try:
        value = int(text.strip())
    except ValueError:
        raise Unreadable(f"is not an int: {quoted(text)}") from None
    # flyteidl's Primitive has an int64 (flyteidl/core/literals.proto).
    if not -(2**63) <= value < 2**63:
        raise Unreadable(f"does not fit 64 bits: {value}")
    return Literal(li.INTEGER, value)


def _float(text: str) -> Literal:
    try:
        return Literal(li.FLOAT, float(text.strip()))
    except ValueError:
        raise Unreadable(f"is not a float: {quoted(text)}") from None


def _boolean(text: str) -> Literal:
    spoken = text.strip().lower()
    if spoken in ("true", "yes", "on", "1"):
        return Literal(li.BOOLEAN, True)
    if spoken in ("false", "no", "off", "0"):
        return Literal(li.BOOLEAN, False)
    raise Unreadable(f"is neither true nor false: {quoted(text)}")


def _datetime(text: str) -> Literal:
    # Python 3.10 reads neither of the two names for UTC.
    spoken = re.sub(r"\s*(UTC|Z)$", "+00:00", text.strip())
    try:
        value = datetime.fromisoformat(spoken)
    except ValueError:
        raise Unreadable(
            f"is not a date and time: {quoted(text)}; write 2026-11-01 09:30, in UTC"
        ) from None
    # Flyte's times are UTC. A time without a zone must not depend on where it was typed.
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return Literal(li.DATETIME, (value - _EPOCH) // _MICROSECOND)


def _duration(text: str) -> Literal:
    spoken = text.strip().lower()
    try:
        total = _clock(spoken)
        if total is None:
            total = _units(spoken)
    except (OverflowError, ValueError):
        raise Unreadable(f"is longer than a duration can be: {quoted(text)}") from None
    if total is None:
        raise Unreadable(f"is not a duration: {quoted(text)}; write 90s, 1h30m or 1:30:00")
    return Literal(li.DURATION, total // _MICROSECOND)


def _clock(spoken: str) -> "timedelta | None":
    """Return the duration in `1:30:00` or `1:30`, also with days before it, as `str` writes a timedelta."""
    found = re.fullmatch(
        r"(?:([-+]?\d+) days?,? *)?([-+])?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", spoken
    )
    if found is None:
        return None
    days, sign, hours, minutes, seconds = found.groups()
    clock = timedelta(hours=int(hours or 0), minutes=int(minutes), seconds=float(seconds))
    return timedelta(days=int(days or 0)) + (-clock if sign == "-" else clock)


def _units(spoken: str) -> "timedelta | None":
    """Return the duration in `90s`, `1h30m` or `-1.5 d`; a number alone is seconds."""
    found = re.fullmatch(r"([-+])?((?:\s*\d+(?:\.\d+)?\s*(?:d|h|ms|m|s|us)?)+)", spoken)
    if found is None:
        return None
    names = {"d": "days", "h": "hours", "m": "minutes", "ms": "milliseconds", "us": "microseconds"}
    total = timedelta()
    for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(d|h|ms|m|s|us)?", found[2]):
        total += timedelta(**{names.get(unit, "seconds"): float(number)})
    return -total if found[1] == "-" else total


def _none(text: str) -> Literal:
    if text.strip() not in ("", "None", "null", "~"):
        raise Unreadable(f"is not None: {quoted(text)}")
    return NOTHING


def _struct(text: str) -> Literal:
    return from_data(_structured(text), lt.simple(lt.STRUCT))


def _no_text(text: str) -> Literal:
    raise Unreadable("cannot be typed; give the name of a variable")


_SIMPLE: "dict[str, Callable[[str], Literal]]" = {
    lt.INTEGER: _integer,
    lt.FLOAT: _float,
    lt.BOOLEAN: _boolean,
    lt.STRING: lambda text: Literal(li.STRING, text),
    lt.DATETIME: _datetime,
    lt.DURATION: _duration,
    lt.NONE: _none,
    lt.STRUCT: _struct,
}

# Lists of these types are columns: one kind of literal, and plain values.
_COLUMNS = {
    lt.INTEGER: li.INTEGER,
    lt.FLOAT: li.FLOAT,
    lt.STRING: li.STRING,
    lt.BOOLEAN: li.BOOLEAN,
    lt.DATETIME: li.DATETIME,
    lt.DURATION: li.DURATION,
}


def _collection(data: Any, type: LiteralType, place: str) -> Literal:
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise Unreadable(at_place(place, f"is not a list: {quoted(data)}"))
    items = [
        from_data(item, type.value, below_place(place, f"item {number}"))
        for number, item in enumerate(data, start=1)
    ]
    if type.value.kind == lt.SIMPLE and type.value.value in _COLUMNS:
        return Literal(li.COLUMN, (_COLUMNS[type.value.value], [item.value for item in items]))
    return Literal(li.COLLECTION, items)


def _read_union(text: str, type: LiteralType) -> Literal:
    return _union_of(lambda variant: read(text, variant), not text.strip(), type)


def _union_of(make: "Callable[[LiteralType], Literal]", empty: bool, type: LiteralType) -> Literal:
    """Return the literal by the first variant that takes it; `None` for an empty field where that is one."""
    # An empty text would also be a string. Where None is allowed, it is what people mean by it.
    nothing = [variant for variant in type.value if is_simple(variant, lt.NONE)]
    if empty and nothing:
        return Literal(li.UNION, (NOTHING, nothing[0]))
    reasons = []
    for variant in type.value:
        if variant in nothing:
            continue
        try:
            return Literal(li.UNION, (make(variant), variant))
        except Unreadable as error:
            reasons.append(str(error))
    raise Unreadable(" and ".join(reasons) or "fits no variant")


def _list_of(text: str, element: LiteralType) -> Any:
    """Return the items of a list that is typed with commas, or as YAML or JSON."""
    bare = text.strip()
    if not bare:
        return []
    # Items with a structure have commas themselves.
    plain = element.kind in (lt.SIMPLE, lt.ENUM, lt.UNION)
    if not plain or "\n" in bare or bare.startswith(("[", "- ")):
        return _structured(text)
    return [part.strip() for part in bare.rstrip(",").split(",")]


def _structured(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass  # JSON is tried first, because YAML reads some JSON differently, for example 1e3
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise Unreadable(f"{where}{getattr(error, 'problem', None) or 'is not YAML'}") from None


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML to what JSON can have: dates and times stay text, and the type of the field reads them."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _write_structure(literal: Literal, type: LiteralType) -> str:
    data = to_data(literal, type)
    plain = literal.kind == li.COLUMN and literal.value[0] in (li.INTEGER, li.FLOAT)
    if plain and data:
        return ", ".join(str(item) for item in data)
    # JSON keeps texts with commas apart, and is shorter than YAML for lists.
    if isinstance(data, list):
        return json.dumps(data, ensure_ascii=False)
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True)).rstrip("\n")


def _datetime_text(microseconds: int) -> str:
    value = _EPOCH + microseconds * _MICROSECOND
    # Seconds are shown only where there are any: most people type times without.
    if value.second or value.microsecond:
        return value.replace(tzinfo=None).isoformat(sep=" ") + " UTC"
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _duration_text(microseconds: int) -> str:
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    fraction = f".{rest:06}" if rest else ""
    return ("-" if microseconds < 0 else "") + clock + fraction


def _json_like(data: "Mapping[Any, Any]") -> "dict[str, Any]":
    return {
        str(key): _json_like(value) if isinstance(value, Mapping) else value
        for key, value in data.items()
    }


def _as_text(data: Any) -> str:
    if data is None:
        return ""
    if isinstance(data, bool):
        return "true" if data else "false"
    return str(data)


def _required(text: str, what: str) -> str:
    if not text.strip():
        raise Unreadable(f"is required: {what}")
    return text.strip()


def quoted(value: Any) -> str:
    """Return the value in quotes for a message, shortened."""
    text = str(value)
    return f"“{text if len(text) <= 40 else text[:39] + '…'}”"


def _article(type: LiteralType) -> str:
    spoken = describe(type)
    return f"an {spoken}" if spoken[:1] in "aeiou" else f"a {spoken}"


def at_place(place: str, message: str) -> str:
    """Return the message with the place before it, if there is one."""
    return f"{place} {message}" if place else message


def below_place(place: str, step: str) -> str:
    """Return the place of a part."""
    return f"{place}, {step}" if place else step
