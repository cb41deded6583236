"""Show data frames, tables and arrays: their shape, and their first rows or items.

Libraries are found in `sys.modules` and never imported: a value can only be here if its library is loaded.
"""

import sys
from collections.abc import Sequence
from typing import Any

from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element, join

TABLE = "border-collapse:collapse;width:auto;margin:0;font-size:12px;border:none"
CELL = (
    "padding:1px 14px 1px 0;text-align:left;vertical-align:top;border:none;white-space:normal;"
    "overflow-wrap:break-word"
)
_GRID = "padding:2px 10px;vertical-align:top;border:none;white-space:nowrap;font-size:12px"
_ROWS = 5
_COLUMNS = 10
_CELL_TEXT = 40  # characters of a cell
_ITEMS = 6  # items of an array


def shape_of(value: Any) -> "str | None":
    """Return `7,043 × 21` for frames and tables, `(3, 4) float64` for arrays, `None` for anything else."""
    kind = _kind(value)
    if kind == "frame":
        return f"{len(value):,} × {len(value.columns):,}"
    if kind == "table":
        return f"{value.num_rows:,} × {value.num_columns:,}"
    if kind == "series":
        return f"{len(value):,} {value.dtype}"
    if kind == "array":
        return f"{tuple(value.shape)} {value.dtype}"
    return None


def preview(value: Any) -> "Safe | None":
    """Return the first rows of a frame or table, the first items of an array, `None` for anything else."""
    kind = _kind(value)
    if kind == "frame":
        names = [str(name) for name in value.columns[:_COLUMNS]]
        # Cut first: converting a frame of a million rows would take seconds.
        head = value.iloc[:_ROWS, :_COLUMNS]
        rows = [list(row) for row in head.itertuples(index=False, name=None)]
        numeric = [dtype.kind in "iufc" for dtype in head.dtypes]
        return _grid(value, names, rows, numeric, (len(value), len(value.columns)))
    if kind == "table":
        part = value.slice(0, _ROWS).select(value.column_names[:_COLUMNS])
        names = [str(name) for name in part.column_names]
        columns = [part.column(index).to_pylist() for index in range(part.num_columns)]
        rows = [list(row) for row in zip(*columns, strict=True)]
        numeric = [all(isinstance(item, (int, float)) for item in column) for column in columns]
        return _grid(value, names, rows, numeric, (value.num_rows, value.num_columns))
    if kind in ("series", "array"):
        flat = value.ravel()[:_ITEMS] if kind == "array" else value.iloc[:_ITEMS]
        items = ", ".join(_cell(item) for item in flat.tolist())
        size = value.size
        more = ", …" if size > _ITEMS else ""
        note = element("span", f"{type(value).__name__} {shape_of(value)}", style=theme.QUIET)
        return join((note, "  ", element("span", f"[{items}{more}]", style=theme.MONO)))
    return None


def _kind(value: Any) -> str:
    """Return `frame`, `series`, `table`, `array`, or an empty text for anything else."""
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(value, getattr(pandas, "DataFrame", ())):
            return "frame"
        if isinstance(value, getattr(pandas, "Series", ())):
            return "series"
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, getattr(arrow, "Table", ())):
        return "table"
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, getattr(numpy, "ndarray", ())):
        return "array"
    return ""


def _grid(
    value: Any,
    names: "Sequence[str]",
    rows: "Sequence[Sequence[Any]]",
    numeric: "Sequence[bool]",
    shape: "tuple[int, int]",
) -> Safe:
    sides = ["right" if number else "left" for number in numeric]
    head = [
        element(
            "th", name[:_CELL_TEXT], style=f"{_GRID};text-align:{side};font-weight:600", title=name
        )
        for name, side in zip(names, sides, strict=True)
    ]
    body = [
        element(
            "tr",
            *(
                element(
                    "td", _cell(item), style=f"{_GRID};text-align:{side};border-top:{theme.LINE}"
                )
                for item, side in zip(row, sides, strict=True)
            ),
            style=theme.ROW,
        )
        for row in rows
    ]
    note = f"{type(value).__name__} {shape_of(value)}"
    hidden = [
        f"{count:,} more {what}"
        for count, what in ((shape[0] - len(rows), "rows"), (shape[1] - len(names), "columns"))
        if count > 0
    ]
    table = element(
        "table",
        element("thead", element("tr", *head, style=theme.ROW)),
        element("tbody", *body),
        style=TABLE,
    )
    return join(
        (
            element("div", note, style=theme.QUIET),
            element("div", table, style="overflow-x:auto"),
            element("div", "and " + " and ".join(hidden), style=theme.QUIET) if hidden else None,
        )
    )


def _cell(item: Any) -> str:
    text = f"{item:.6g}" if isinstance(item, float) else str(item)
    return text if len(text) <= _CELL_TEXT else text[: _CELL_TEXT - 1] + "…"
