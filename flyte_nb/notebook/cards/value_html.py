"""Show Python values: short, never large, and never raising.

Everything here is saved in the notebook, so each kind of value has a limit. Optional libraries are found in
`sys.modules` and never imported: a figure can only be here if its library is loaded.
"""

import base64
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from io import BytesIO
from itertools import islice
from typing import Any

from flyte_nb.notebook.cards import tables, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element, join

_MAX_TEXT = 400  # characters of a text; a longer one folds
_MAX_FOLDED = 20_000  # characters of a text that folds
_MAX_ITEMS = 8  # items of a list or dict
_MAX_DEPTH = 3  # levels of lists and dicts; also ends a value that contains itself
_MAX_IMAGE_BYTES = 3_000_000
_MAX_WIDTH = 640  # px of an image
_PLAIN = 80  # characters of the text form


def formatted(value: Any) -> Safe:
    """Return the value as HTML.

    Scalars are written as in Python, frames as their first rows, arrays as shape and first items, figures and
    images as pictures, dataclasses and dicts as two columns. Long texts fold.
    """
    try:
        return _formatted(value, 0)
    except Exception as error:  # noqa: BLE001 - a foreign `repr` may raise anything, a card must not
        return _unreadable(value, error)


def plain(value: Any) -> str:
    """Return the value in one line of text of at most 80 characters."""
    try:
        shape = tables.shape_of(value)
        if shape is not None:
            return f"{type(value).__name__} {shape}"
        text = str(value) if isinstance(value, (datetime, date, timedelta)) else repr(value)
    except Exception:  # noqa: BLE001 - a foreign `repr` may raise anything
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= _PLAIN else text[: _PLAIN - 1] + "…"


def _formatted(value: Any, depth: int) -> Safe:
    # The order matters: an `Enum` may be a `str`, and a dataclass may have a picture of its own.
    for kinds, show in _SCALARS:
        if isinstance(value, kinds):
            return show(value)
    table = tables.preview(value)
    if table is not None:
        return table
    picture = _picture(value)
    if picture is not None:
        return picture
    if is_dataclass(value) and not isinstance(value, type):
        items = {field.name: getattr(value, field.name, None) for field in fields(value)}
        return join((_soft(type(value).__name__), _items(items, depth)))
    names = getattr(type(value), "model_fields", None)  # of a pydantic model
    if isinstance(names, dict) and names:
        items = {name: getattr(value, name, None) for name in names}
        return join((_soft(type(value).__name__), _items(items, depth)))
    if isinstance(value, Mapping):
        return _items(value, depth) if value else _code("{}")
    if isinstance(value, (list, tuple, set, frozenset)):
        return _sequence(value, depth)
    uri = _location(value)
    if uri:
        return join((_soft(type(value).__name__), " ", _code(uri)))
    return _repr(value)


def _none(value: None) -> Safe:
    return _soft("None")


def _enum(value: Enum) -> Safe:
    return _code(f"{type(value).__name__}.{value.name}")


def _bytes(value: "bytes | bytearray | memoryview") -> Safe:
    data = bytes(value)
    kind = _image_kind(data)
    if kind and len(data) <= _MAX_IMAGE_BYTES:
        return _image(data, kind)
    return join((_soft(f"{units.size(len(data))} of bytes "), _code(repr(data[:24]))))


def _moment(value: "datetime | date | timedelta") -> Safe:
    return _code(str(value))


def _text(value: str) -> Safe:
    if "\n" not in value and len(value) <= _MAX_TEXT:
        return _code(repr(value))
    lines = value.splitlines()
    if len(value) <= _MAX_TEXT and len(lines) <= 12:
        return element("pre", value, style=theme.BLOCK)
    cut = value[:_MAX_FOLDED] + ("…" if len(value) > _MAX_FOLDED else "")
    summary = element(
        "summary",
        _code(repr(value[:60]) + "…"),
        _soft(f"  {len(value):,} characters, {units.plural(len(lines), 'line')}"),
        style="cursor:pointer",
    )
    return element("details", summary, element("pre", cut, style=theme.BLOCK))


_SCALARS: "tuple[tuple[Any, Callable[[Any], Safe]], ...]" = (
    (type(None), _none),
    (Enum, _enum),
    ((bool, int, float, complex), lambda value: _code(repr(value))),
    (str, _text),
    ((bytes, bytearray, memoryview), _bytes),
    ((datetime, date, timedelta), _moment),
)


def _items(value: "Mapping[Any, Any]", depth: int) -> Safe:
    """Return two columns with at most `_MAX_ITEMS` rows."""
    if depth >= _MAX_DEPTH:
        return _repr(value)
    rows = [
        element(
            "tr",
            element("td", str(key), style=f"{tables.CELL};{theme.MONO};{theme.SOFT}"),
            element("td", _formatted(item, depth + 1), style=tables.CELL),
            style=theme.ROW,
        )
        for key, item in islice(value.items(), _MAX_ITEMS)
    ]
    more = len(value) - len(rows)
    table = element("table", element("tbody", *rows), style=tables.TABLE)
    return join((table, _soft(f"and {more:,} more") if more > 0 else None))


def _sequence(value: Any, depth: int) -> Safe:
    """Return the items on one line if they are all scalars, else one line for each."""
    first = list(islice(value, _MAX_ITEMS))
    more = len(value) - len(first)
    if all(isinstance(item, (type(None), bool, int, float, str)) for item in first):
        listed = ", ".join(repr(item)[:60] for item in first) + (", …" if more else "")
        left, right = ("[", "]") if isinstance(value, list) else ("{", "}")
        if isinstance(value, tuple):
            left, right = "(", ")"
        size = _soft(f"  {len(value):,} items") if more else None
        return join((_code(f"{left}{listed}{right}"), size))
    if depth >= _MAX_DEPTH:
        return _repr(value)
    lines = [element("div", _formatted(item, depth + 1)) for item in first]
    return join((*lines, _soft(f"and {more:,} more") if more else None))


def _picture(value: Any) -> "Safe | None":
    """Return figures and images as a picture, by the display methods they have; `None` for anything else."""
    figure = sys.modules.get("matplotlib.figure")
    # A matplotlib figure has no `_repr_png_`.
    if figure is not None and isinstance(value, figure.Figure):
        target = BytesIO()
        value.savefig(target, format="png", dpi=110, bbox_inches="tight")
        return _image(target.getvalue(), "png")
    for method, kind in (("_repr_png_", "png"), ("_repr_jpeg_", "jpeg")):
        draw = getattr(type(value), method, None)
        data = draw(value) if draw is not None else None
        if isinstance(data, bytes) and 0 < len(data) <= _MAX_IMAGE_BYTES:
            return _image(data, kind)
    return None


def _image_kind(data: bytes) -> str:
    """Return the kind of an image by its first bytes; empty if it is none that a page can show."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "gif" if data[:6] in (b"GIF87a", b"GIF89a") else ""


def _image(data: bytes, kind: str) -> Safe:
    encoded = base64.b64encode(data).decode("ascii")
    return element(
        "img",
        src=f"data:image/{kind};base64,{encoded}",
        alt=f"{kind.upper()} image, {units.size(len(data))}",
        style=f"max-width:100%;height:auto;max-height:{_MAX_WIDTH}px;border-radius:3px",
    )


def _location(value: Any) -> str:
    """Return the path or URI of values that have one, like `FlyteFile`; empty for others."""
    for name in ("remote_source", "uri", "path"):
        found = getattr(value, name, None)
        if isinstance(found, str) and found:
            return found
    return ""


def _repr(value: Any) -> Safe:
    text = repr(value)
    return _code(text) if len(text) <= _MAX_TEXT else _code(text[: _MAX_TEXT - 1] + "…")


def _unreadable(value: Any, error: Exception) -> Safe:
    return _soft(f"{type(value).__name__}, cannot be shown ({type(error).__name__})")


def _code(text: str) -> Safe:
    return element("span", text, style=f"{theme.MONO};overflow-wrap:break-word")


def _soft(text: str) -> Safe:
    return element("span", text, style=theme.QUIET)
