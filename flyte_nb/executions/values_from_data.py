"""Make a value of an input's type from plain data, as `notation.parsed` or JSON gives it.

The codec of the type decides what data fits. For a union, several variants may take the data, so variants are
tried at three levels, from data exactly as Python writes the type to data as a person may write it.
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any, get_origin

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.executions.field_text import (
    Unreadable,
    at_place,
    below_place,
    is_simple,
    quoted,
    read,
)
from flyte_nb.executions.notation import ReprCall
from flyte_nb.types.codec import Codec, NeedsStore, spell
from flyte_nb.types.containers import ListCodec, MapCodec
from flyte_nb.types.unions import UnionCodec

FRAMES = frozenset({lt.STRUCTURED_DATASET, lt.SCHEMA})
"""Kinds of types whose values cannot be written: a variable, a path or a URI names them."""

EXACT, NEAR, LOOSE = range(3)
"""How far data may be from its type. `EXACT`: as Python writes it. `NEAR`: as JSON writes it, for example a
date as text. `LOOSE`: as a person may write it, for example a number in quotes."""


def made_of(data: Any, codec: Codec, level: int = LOOSE, place: str = "") -> Any:
    """Return the value of the codec's type that the data stands for.

    Args:
        data: As `notation.parsed` returns it.
        codec: The codec of the type.
        level: How far the data may be from the type.
        place: Where the data is inside of the input, for messages; empty at the top.

    Raises:
        Unreadable: the data does not fit the type.
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
            raise Unreadable(at_place(place, f"has the key {wrong!r}, but keys must be text"))
        return {
            key: made_of(item, codec.item, level, below_place(place, repr(key)))
            for key, item in data.items()
        }
    try:
        return _single(data, codec, level)
    except Unreadable as error:
        raise Unreadable(at_place(place, str(error))) from None


def _variant(data: Any, codec: UnionCodec, level: int, place: str) -> Any:
    """Return the value by the first variant that takes the data at the lowest level.

    So `"1"` stays a text for `str | int`, and becomes a number for `int | None`.
    """
    reasons = []
    for near in range(level + 1):
        for variant in codec.variants:
            try:
                return made_of(data, variant, near, place)
            except Unreadable as error:
                reasons.append(str(error))
    # The reasons of the last level: the most was tried there. Variants may give the same reason.
    last = reasons[-len(codec.variants) :]
    raise Unreadable(" and ".join(dict.fromkeys(last)) or "fits no variant")


def _single(data: Any, codec: Codec, level: int) -> Any:
    """Return the value for a type that is no union, list or map."""
    kind = codec.literal_type
    # Pickled values and arrays are blobs to Flyte, but people write their values and no paths.
    if kind.kind == lt.BLOB and getattr(kind.value, "format", "") in FOREIGN:
        return FOREIGN[kind.value.format](data, codec, level)
    if is_simple(kind, lt.STRUCT):
        if isinstance(data, ReprCall):
            data = _plain(data)
        if not isinstance(data, dict):
            raise Unreadable(f"is not a mapping: {quoted(data)}")
        # An untyped dict keeps its data as it is. The codec of a dataclass wants plain data.
        return decoded(
            Literal(li.STRUCT, data if codec.python_type is dict else _plain(data)), codec
        )
    if kind.kind in FRAMES:
        raise Unreadable("is not a frame: give the name of a variable, a path or a URI")
    if kind.kind == lt.BLOB:
        return decoded(Literal(li.BLOB, (_path_of(data), kind.value)), codec)
    simple = lt.STRING if kind.kind == lt.ENUM else kind.value
    # To Python, True is an int. Here a boolean is no number, and only a person may write 1 for true.
    is_bool = isinstance(data, bool)
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


def _loses_time(data: Any, codec: Codec) -> bool:
    """Return whether the data has a time of day, and the type is a date without one."""
    return codec.python_type is _DATE and isinstance(data, datetime.datetime)


_DATE = datetime.date  # the base class of datetime, too
# Python's classes of each simple type.
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
"""What JSON writes for values of types that it does not have, and for a float without a fraction."""


def _literal(data: Any, codec: Codec) -> Literal:
    """Return the literal for scalar data. Most data goes through its text, as a person would type it."""
    kind = codec.literal_type
    # Durations and floats would lose digits on the way through a text.
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


def decoded(literal: Literal, codec: Codec) -> Any:
    """Return the value of a literal.

    Raises:
        Unreadable: the codec, or the author's own class, refuses the literal.
    """
    try:
        return codec.decode(literal, None)
    except CodecError as error:
        raise Unreadable(str(error)) from None
    except (
        OverflowError,
        TypeError,
        ValueError,
    ) as error:  # e.g. a dataclass that checks its fields
        raise Unreadable(f"is refused: {type(error).__name__}: {error}") from None


def _plain(data: Any) -> Any:
    """Return the data as a struct has it: dates as text, sets and tuples as lists, `ReprCall`s as dicts."""
    if isinstance(data, ReprCall):
        if data.name in _STORED and len(data.arguments) == 1:
            return data.arguments[0]
        if data.arguments:
            raise Unreadable(f"{data.name}(…) has values without names; write name=value for each")
        return _plain(dict(data.fields))
    if isinstance(data, dict):
        return {key: _plain(item) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    if isinstance(data, (set, frozenset)):
        # Sets have no order. Any fixed one will do, so that equal inputs give equal literals.
        return [_plain(item) for item in sorted(data, key=repr)]
    return data.isoformat() if isinstance(data, _DATE) else data


_STORED = frozenset({"FlyteFile", "FlyteDirectory"})
"""Classes whose `repr` has a path as its only argument."""


def _path_of(data: Any) -> str:
    """Return the path or URI of a file or folder."""
    if isinstance(data, ReprCall) and data.name in _STORED and len(data.arguments) == 1:
        data = data.arguments[0]
    if isinstance(data, dict) and set(data) <= {
        "path",
        "metadata",
    }:  # as flytekit writes it in JSON
        data = data.get("path")
    if not isinstance(data, str) or not data.strip():
        raise Unreadable(f"is not a path or URI: {quoted(data)}")
    return data


def _pickled(data: Any, codec: Codec, level: int) -> Any:
    """Return a value of a type that travels by pickle: of the author's class, or plain data."""
    kind = codec.python_type
    if isinstance(data, ReprCall) and isinstance(kind, type) and data.name == kind.__name__:
        return _constructed(kind, data)
    if isinstance(data, list) and get_origin(kind) in (set, frozenset) and level > EXACT:
        data = get_origin(kind)(data)  # JSON writes a set as a list
    # A `ReprCall` inside plain data has no class here that could be called.
    if _has_reprs(data) or not fits(data, codec):
        raise Unreadable(_not_a(codec, data))
    # Any value can be pickled, so the codec accepts a list for `set[int]`.
    origin = get_origin(kind)
    if isinstance(origin, type) and not isinstance(data, origin):
        raise Unreadable(_not_a(codec, data))
    return data


def _constructed(kind: type, data: ReprCall) -> Any:
    """Call the author's class with the arguments of its `repr`."""
    try:
        return kind(*data.arguments, **data.fields)
    except Exception as error:  # noqa: BLE001 - the class's own code may raise anything
        raise Unreadable(f"is refused by {kind.__name__}: {error}") from None


def _array(data: Any, codec: Codec, level: int) -> Any:
    """Return the numpy array that a `repr` or a JSON list stands for."""
    import numpy  # optional: only an input with its type gets here

    made = isinstance(data, ReprCall) and data.name == "array" and len(data.arguments) == 1
    if not made and not isinstance(data, list):
        raise Unreadable(_not_a(codec, data))
    try:
        if made:
            return numpy.asarray(data.arguments[0], dtype=data.fields.get("dtype"))
        return numpy.asarray(data)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"is no array: {error}") from None


def _object(data: Any, codec: Codec, level: int) -> Any:
    """Refuse data for an object of a library, which has no notation.

    Raises:
        Unreadable: always.
    """
    raise Unreadable(f"is not a {spell(codec.python_type)}: give the name of a variable")


FOREIGN: "Mapping[str, Callable[[Any, Codec, int], Any]]" = {
    "PythonPickle": _pickled,
    "NumpyArray": _array,
    **dict.fromkeys(lt.OBJECT_FORMATS, _object),
}
"""By the format of a blob type: what makes its values from data. Blobs of other formats are paths."""


def _has_reprs(data: Any) -> bool:
    """Return whether there is a `ReprCall` in the data, at any depth."""
    if isinstance(data, dict):
        return any(map(_has_reprs, data.values()))
    if isinstance(data, ReprCall):
        return True
    return isinstance(data, (list, tuple)) and any(map(_has_reprs, data))


def fits(value: Any, codec: Codec) -> bool:
    """Return whether the codec takes the value. Nothing is stored."""
    try:
        codec.encode(value, None)
    except NeedsStore:  # it fits; only its content has nowhere to go without a store
        return True
    except Exception:  # noqa: BLE001 - encoding asks the value, whose code may raise anything
        return False
    return True


def _not_a(codec: Codec, data: Any) -> str:
    """Return the message for data that does not fit a type, with advice where there is any."""
    advice = "; put it in quotes" if is_simple(codec.literal_type, lt.STRING) else ""
    if codec.literal_type.kind == lt.ENUM:
        advice = f"; it is one of {', '.join(codec.literal_type.value)}"
    return f"is not a value of {spell(codec.python_type)}: {quoted(_shown(data))}{advice}"


def _shown(data: Any) -> str:
    return f"{data.name}(…)" if isinstance(data, ReprCall) else str(data)
