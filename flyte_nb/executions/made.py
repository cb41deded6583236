"""Python values made of data in Python's or JSON's notation, by the codec of an input's type."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any, get_origin

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.executions.notation import Made
from flyte_nb.executions.reading import Unreadable, at_place, below_place, is_simple, quoted, read
from flyte_nb.types.codec import NeedsStore, spell
from flyte_nb.types.containers import ListCodec, MapCodec
from flyte_nb.types.unions import UnionCodec

FRAMES = frozenset({lt.STRUCTURED_DATASET, lt.SCHEMA})
"""Kinds of types whose values are named by a variable, a path or a URI."""

EXACT, NEAR, LOOSE = range(3)
"""How far data may be from its type: as Python has it; as JSON has it; as a person may write it."""


def made_of(data: Any, codec: Any, level: int = LOOSE, place: str = "") -> Any:
    """Return the value of the codec's type that the data stands for.

    Args:
        data: As `notation.parsed` gives it.
        codec: Of the type.
        level: How far the data may be from the type.
        place: Where it stands, for messages.

    Raises:
        Unreadable: the data does not fit.
    """
    if isinstance(codec, UnionCodec):
        return _variant(data, codec, level, place)
    if isinstance(codec, ListCodec):
        if not isinstance(data, (list, tuple)):
            raise Unreadable(at_place(place, f"is not a list: {quoted(data)}"))
        return [
            made_of(item, codec.item, level, below_place(place, f"item {number}"))
            for number, item in enumerate(data, start=1)
        ]
    if isinstance(codec, MapCodec):
        if not isinstance(data, dict):
            raise Unreadable(at_place(place, f"is not a mapping: {quoted(data)}"))
        wrong = next((key for key in data if not isinstance(key, str)), None)
        if wrong is not None:
            raise Unreadable(at_place(place, f"has the key {wrong!r}, and keys are text here"))
        return {
            key: made_of(item, codec.item, level, below_place(place, repr(key)))
            for key, item in data.items()
        }
    try:
        return _single(data, codec, level)
    except Unreadable as error:
        raise Unreadable(at_place(place, str(error))) from None


def _variant(data: Any, codec: UnionCodec, level: int, place: str) -> Any:
    """Return the value by the variant that is nearest to the data."""
    reasons = []
    for near in range(level + 1):
        for variant in codec.variants:
            try:
                return made_of(data, variant, near, place)
            except Unreadable as error:
                reasons.append(str(error))
    last = reasons[-len(codec.variants) :]
    raise Unreadable(" and ".join(dict.fromkeys(last)) or "fits no variant")


def _single(data: Any, codec: Any, level: int) -> Any:
    kind = codec.literal_type
    if kind.kind == lt.BLOB and getattr(kind.value, "format", "") in FOREIGN:
        return FOREIGN[kind.value.format](data, codec, level)
    if is_simple(kind, lt.STRUCT):
        if isinstance(data, Made):
            data = _plain(data)
        if not isinstance(data, dict):
            raise Unreadable(f"is not a mapping: {quoted(data)}")
        return decoded(
            Literal(li.STRUCT, data if codec.python_type is dict else _plain(data)), codec
        )
    if kind.kind in FRAMES:
        raise Unreadable("is no frame: give the name of a variable, a path or a URI")
    if kind.kind == lt.BLOB:
        return decoded(Literal(li.BLOB, (_path_of(data), kind.value)), codec)
    simple = lt.STRING if kind.kind == lt.ENUM else kind.value
    is_bool = isinstance(data, bool)  # which is an int to Python
    if is_bool != (simple == lt.BOOLEAN) and (is_bool or level == EXACT):
        raise Unreadable(_not_a(codec, data))
    if not isinstance(data, _classes(simple, level)) or _loses_time(data, codec):
        raise Unreadable(_not_a(codec, data))
    return decoded(_literal(data, codec), codec)


def _classes(simple: str, level: int) -> "tuple[type, ...]":
    """Return the classes whose values may stand for a simple type."""
    classes = _EXACTLY.get(simple, ())
    if simple != lt.STRING and level > EXACT:
        classes += _NEARLY.get(simple, ())
        classes += (str, int, float) if level == LOOSE else ()
    return classes


def _loses_time(data: Any, codec: Any) -> bool:
    return codec.python_type is _DATE and isinstance(data, datetime.datetime)


_DATE = datetime.date  # a datetime is one, too
_EXACTLY: "Mapping[str, tuple[type, ...]]" = {
    lt.INTEGER: (int,),
    lt.FLOAT: (float,),
    lt.BOOLEAN: (bool,),
    lt.STRING: (str,),
    lt.DATETIME: (_DATE,),
    lt.DURATION: (datetime.timedelta,),
    lt.NONE: (type(None),),
}
_NEARLY: "Mapping[str, tuple[type, ...]]" = {
    lt.FLOAT: (int,),
    lt.DATETIME: (str,),
    lt.DURATION: (str, int, float),
}
"""How JSON writes values of a type that it does not have."""


def _literal(data: Any, codec: Any) -> Literal:
    kind = codec.literal_type
    if isinstance(data, datetime.timedelta):
        return Literal(li.DURATION, data // datetime.timedelta(microseconds=1))
    if isinstance(data, float) and is_simple(kind, lt.FLOAT):
        return Literal(li.FLOAT, data)
    if data is None:
        return li.NOTHING
    if isinstance(data, str):
        text = data
    else:
        text = data.isoformat() if isinstance(data, _DATE) else repr(data)
    return read(text, kind)


def decoded(literal: Literal, codec: Any) -> Any:
    """Return the literal's value. Raises `Unreadable` where the codec refuses it."""
    try:
        return codec.decode(literal, None)
    except CodecError as error:
        raise Unreadable(str(error)) from None
    except (OverflowError, TypeError, ValueError) as error:  # a dataclass checks its own fields
        raise Unreadable(f"is refused: {type(error).__name__}: {error}") from None


def _plain(data: Any) -> Any:
    """Return the data as a struct has it: dates as text, sets and tuples as lists, reprs as dicts."""
    if isinstance(data, Made):
        if data.name in _STORED and len(data.arguments) == 1:
            return data.arguments[0]
        if data.arguments:
            raise Unreadable(f"{data.name}(…) has values without names")
        return _plain(dict(data.fields))
    if isinstance(data, dict):
        return {key: _plain(item) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    if isinstance(data, (set, frozenset)):
        return [_plain(item) for item in sorted(data, key=repr)]
    return data.isoformat() if isinstance(data, _DATE) else data


_STORED = frozenset({"FlyteFile", "FlyteDirectory"})


def _path_of(data: Any) -> str:
    if isinstance(data, Made) and data.name in _STORED and len(data.arguments) == 1:
        data = data.arguments[0]
    if isinstance(data, dict) and set(data) <= {"path", "metadata"}:  # how JSON has it
        data = data.get("path")
    if not isinstance(data, str) or not data.strip():
        raise Unreadable(f"is no path or URI: {quoted(data)}")
    return data


def _pickled(data: Any, codec: Any, level: int) -> Any:
    """Return a value whose type has no literal of its own."""
    kind = codec.python_type
    if isinstance(data, Made) and isinstance(kind, type) and data.name == kind.__name__:
        return _constructed(kind, data)
    if isinstance(data, list) and get_origin(kind) in (set, frozenset) and level > EXACT:
        data = get_origin(kind)(data)  # as JSON has it
    if _has_reprs(data) or not fits(data, codec):
        raise Unreadable(_not_a(codec, data))
    origin = get_origin(kind)
    if isinstance(origin, type) and not isinstance(data, origin):
        raise Unreadable(_not_a(codec, data))
    return data


def _constructed(kind: type, data: Made) -> Any:
    try:
        return kind(*data.arguments, **data.fields)
    except Exception as error:  # noqa: BLE001 - a class's own code
        raise Unreadable(f"is refused by {kind.__name__}: {error}") from None


def _array(data: Any, codec: Any, level: int) -> Any:
    """Return a numpy array, as `repr` or a JSON list has it."""
    import numpy

    made = isinstance(data, Made) and data.name == "array" and len(data.arguments) == 1
    if not made and not isinstance(data, list):
        raise Unreadable(_not_a(codec, data))
    try:
        if made:
            return numpy.asarray(data.arguments[0], dtype=data.fields.get("dtype"))
        return numpy.asarray(data)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"is no array: {error}") from None


FOREIGN: "Mapping[str, Callable[[Any, Any, int], Any]]" = {
    "PythonPickle": _pickled,
    "NumpyArray": _array,
}


def _has_reprs(data: Any) -> bool:
    if isinstance(data, dict):
        return any(map(_has_reprs, data.values()))
    if isinstance(data, Made):
        return True
    return isinstance(data, (list, tuple)) and any(map(_has_reprs, data))


def fits(value: Any, codec: Any) -> bool:
    """Return whether the codec takes the value."""
    try:
        codec.encode(value, None)
    except NeedsStore:
        return True
    except Exception:  # noqa: BLE001 - encoding asks the value, whose code may raise anything
        return False
    return True


def _not_a(codec: Any, data: Any) -> str:
    advice = "; put it in quotes" if is_simple(codec.literal_type, lt.STRING) else ""
    if codec.literal_type.kind == lt.ENUM:
        advice = f"; it is one of {', '.join(codec.literal_type.value)}"
    return f"is not a value of {spell(codec.python_type)}: {quoted(_shown(data))}{advice}"


def _shown(data: Any) -> str:
    return f"{data.name}(…)" if isinstance(data, Made) else str(data)
