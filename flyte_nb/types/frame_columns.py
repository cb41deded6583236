"""Read what stands beside the type of a table: columns, an Arrow schema, a storage format."""

import sys
from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.api import literal_types
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, simple
from flyte_nb.types.codec import Annotation

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

Columns = tuple[tuple[str, LiteralType], ...]

_NUMPY = {
    "i": literal_types.INTEGER,
    "u": literal_types.INTEGER,
    "f": literal_types.FLOAT,
    "b": literal_types.BOOLEAN,
    "M": literal_types.DATETIME,
    "m": literal_types.DURATION,
    "S": literal_types.STRING,
    "U": literal_types.STRING,
    "O": literal_types.STRING,
}
"""Flyte's types of numpy's, by `dtype.kind`."""


class Shape(NamedTuple):
    """What is declared of a table."""

    columns: Columns = ()
    arrow_schema: str = ""
    format: str = ""


def shape_of(extras: "list[object]", registry: "CodecLookup") -> Shape:
    """Return what the annotations beside a table's type declare.

    Args:
        extras: what stands behind the type in `Annotated[…]`; what means nothing for a table is ignored.
        registry: finds the types of columns.

    Raises:
        CodecError: when something is declared twice, or a column's type has no codec.
    """
    columns: list[Columns] = []
    schemas: list[str] = []
    formats: list[str] = []
    for extra in extras:
        if isinstance(extra, str):
            formats.append(extra)
        elif isinstance(extra, dict):
            columns.append(_columns(extra, registry))
        elif hasattr(extra, "__dataclass_fields__"):
            columns.append(_columns(_fields(extra), registry))
        elif type(extra).__name__ == "Schema" and type(extra).__module__.startswith("pyarrow"):
            schema: Annotation = extra
            schemas.append(schema.to_string())
    for noun, found in (("columns", columns), ("Arrow schema", schemas), ("format", formats)):
        if len(found) > 1:
            raise CodecError(
                f"A table has its {noun} declared {len(found)} times.", hint="Keep one."
            )
    return Shape((columns or [()])[0], (schemas or [""])[0], (formats or [""])[0])


def _columns(types: "dict[str, Annotation]", registry: "CodecLookup", above: str = "") -> Columns:
    """Return the columns by name; those of a dict or dataclass inside are called `outer.inner`."""
    found: Columns = ()
    for name, python_type in types.items():
        name = f"{above}{name}"
        if isinstance(python_type, dict):
            found += _columns(python_type, registry, f"{name}.")
        elif hasattr(python_type, "__dataclass_fields__"):
            found += _columns(_fields(python_type), registry, f"{name}.")
        else:
            try:
                found += ((name, _column_type(python_type, registry)),)
            except CodecError as error:
                raise error.below(f".{name}") from None
    return found


def _fields(declared: Annotation) -> "dict[str, Annotation]":
    hints = sys.modules["typing"].get_type_hints(declared)
    return {name: hints[name] for name in declared.__dataclass_fields__}


def _column_type(python_type: Annotation, registry: "CodecLookup") -> LiteralType:
    """Return Flyte's type of a column; numpy's scalar types stand for those that their values have."""
    if isinstance(python_type, type) and python_type.__module__ == "numpy":
        kind = sys.modules["numpy"].dtype(python_type).kind
        if kind in _NUMPY:
            return simple(_NUMPY[kind])
    return registry.codec(python_type).literal_type
