"""Find what parquet cannot hold of a pandas frame, before it is lost.

pyarrow changes some columns without an error: each dict gets the keys of all others, a set becomes a list,
the label `1` becomes `"1"`, a datetime beside dates loses its time. `check` refuses such frames and names
the columns. Only columns of dtype `object` need a look, because every other dtype has one type by itself.
"""

import json
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.types.codec import Table, spell

HINT = (
    "Name columns with text and give each one type, or declare the frame as Any, which pickles it."
)

_FAMILIES = {
    "float": "number",
    "int": "number",
    "list": "list",
    "tuple": "list",
    "ndarray": "list",
    "Timestamp": "datetime",
}
"""Classes that parquet can hold in one column, by class name. Every other class is a family of its own."""
_SHOWN = 3  # columns or keys that a message lists


def check(frame: Table) -> None:
    """Raise unless parquet holds every value of the frame unchanged.

    Raises:
        CodecError: when parquet would change some values; the message names every column and the change.
    """
    wrong = _labels(frame)
    wrong += [
        f"the column {label!r} holds {said}"
        for label, values in _object_columns(frame)
        for said in [_changed(values)]
        if said
    ]
    if frame.index.nlevels == 1 and _holds_objects(frame.index.dtype):
        said = _changed(frame.index)
        wrong += [f"the index holds {said}"] if said else []
    if frame.attrs:
        try:
            json.dumps(frame.attrs)
        except (TypeError, ValueError) as error:
            wrong.append(f"its attrs are not JSON ({error})")
    if wrong:
        raise CodecError(
            f"The {spell(type(frame))} cannot be written as parquet as it is: {'; '.join(wrong)}.",
            hint=HINT,
        )


def check_for_csv(frame: Table) -> None:
    """Raise where a csv would lose an index that means something.

    flytekit leaves every index out. An index of plain numbers is what filtering leaves behind, so it is left
    out here too. Types of columns are not in a csv: its reader infers them.

    Raises:
        CodecError: when the index has names, levels, or labels that are no whole numbers.
    """
    index = frame.index
    if index.nlevels > 1 or index.name is not None or index.dtype.kind not in "iu":
        raise CodecError(
            f"The index of the {spell(type(frame))} is not part of a csv.",
            hint="Make it a column, e.g. frame.reset_index().",
        )


def culprits(frame: Table) -> str:
    """Return which columns of a frame or table cannot be written as parquet, and what they hold.

    Call it only after writing failed: it writes each column by itself. It returns an empty text when each
    column alone can be written.
    """
    if not hasattr(frame, "iloc") and not hasattr(frame, "field"):
        return ""  # polars names the column itself
    arrow = import_module("pyarrow")
    found = []
    for number in range(frame.shape[1]):
        try:
            if hasattr(frame, "iloc"):
                label = frame.columns[number]
                part = frame.iloc[:, [number]]
                _written(arrow.Table.from_pandas(part, preserve_index=False))
            else:
                label = frame.column_names[number]
                _written(frame.select([number]))
        except Exception:  # noqa: BLE001 - whatever pyarrow raises, the column is at fault
            held = frame.iloc[:, number] if hasattr(frame, "iloc") else frame.field(number).type
            found.append(f"the column {label!r} holds {_held(held)}")
    return "; ".join(found)


def _written(table: Table) -> None:
    """Write the table to memory, to see whether pyarrow can."""
    parquet = import_module("pyarrow.parquet")
    parquet.write_table(table, import_module("pyarrow").BufferOutputStream())


def _labels(frame: Table) -> "list[str]":
    """Return what parquet would change in the columns' names. Text stays, unless several names are equal."""
    labels = list(frame.columns)
    if all(type(label) is str for label in labels):
        twice = sorted({label for label in labels if labels.count(label) > 1})
        return [f"several columns are called {', '.join(map(repr, twice))}"] if twice else []
    # An empty frame with the same names shows what pyarrow makes of them, at no cost.
    arrow = import_module("pyarrow")
    empty = type(frame)(columns=frame.columns)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about mixed names, which are reported below
            read = list(arrow.Table.from_pandas(empty).to_pandas().columns)
    except Exception:  # noqa: BLE001 - whatever pyarrow and pandas raise
        return [f"the columns' names are of {_listed(_names(map(type, labels)))}"]
    changed = [
        f"the column {before!r} would be called {after!r}"
        for before, after in zip(labels, read, strict=True)
        # The last condition leaves out NaN, which differs from itself.
        if type(before) is not type(after) or (before != after and before == before)
    ]
    return changed[:_SHOWN]


def _object_columns(frame: Table) -> "Iterable[tuple[Any, Any]]":
    for number, dtype in enumerate(frame.dtypes):
        if _holds_objects(dtype):
            yield frame.columns[number], frame.iloc[:, number]


def _changed(values: "Iterable[Any]") -> str:
    """Return which kinds of values parquet would change; empty when it would change none."""
    kept = [value for value in values if not _is_missing(value)]
    # Looking at the set of types first makes a column of a million equal types cheap.
    kinds = set(map(type, kept))
    if kinds & {set, frozenset}:
        return "sets, which become lists"
    families = {_family(kind) for kind in kinds}
    if len(families) > 1:
        return _listed(_names(kinds))
    if families == {"datetime"} and len({value.tzinfo is None for value in kept}) > 1:
        return "times with and without a time zone"
    if families == {"dict"}:
        return _changed_dicts(kept)
    if families == {"list"}:
        said = _changed(item for value in kept for item in _items(value))
        return f"lists of {said}" if said else ""
    return ""


def _changed_dicts(values: "list[dict[Any, Any]]") -> str:
    # A parquet column of dicts is a struct with fixed fields, so all dicts need the same keys.
    keys = {frozenset(value) for value in values}
    if len(keys) > 1:
        odd = frozenset.union(*keys) - frozenset.intersection(*keys)
        shown = _listed(sorted(map(repr, odd))[:_SHOWN])
        return f"dicts with different keys ({shown}), of which each would get all"
    for key in next(iter(keys), frozenset()):
        said = _changed(value[key] for value in values)
        if said:
            return f"dicts that hold at {key!r} {said}"
    return ""


def _items(value: Any) -> "Iterable[Any]":
    """Return the items of a list or array to check. An array of numbers has none: its dtype is one type."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return list(value)
    return list(value) if _holds_objects(dtype) and value.ndim == 1 else ()


def _holds_objects(dtype: Any) -> bool:
    return str(dtype) == "object"


def _held(values: Any) -> str:
    """Return in words what a column holds that could not be written."""
    dtype = getattr(values, "dtype", values)
    if str(dtype) == "category":
        return f"a category of {_held(values.cat.categories)}"
    if not _holds_objects(dtype):
        return f"values of {dtype}"
    kept = [value for value in values if not _is_missing(value)]
    if any(isinstance(value, int) and value.bit_length() > 64 for value in kept):
        return "ints of more than 64 bits"
    return _changed(kept) or f"values of {_listed(_names(map(type, kept)))}"


def _is_missing(value: object) -> bool:
    """Return whether it is `None`, NaN, `pandas.NA` or `pandas.NaT`, which parquet holds in any column."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _family(kind: type) -> str:
    name = kind.__name__
    if kind.__module__ == "numpy" and name != "ndarray":
        name = name.rstrip("0123456789_").removeprefix("u")  # uint8 and float64 are numbers
    return _FAMILIES.get(name, name)


def _names(kinds: "Iterable[type]") -> "list[str]":
    return sorted({spell(kind) for kind in kinds})


def _listed(names: "list[str]") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
