"""Draw a graph as PNG with resvg, which is installed as a wheel and needs no system package."""

import importlib.util
from pathlib import Path

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.palette import DARK, LIGHT

MAX_PIXELS = 100_000_000
"""Pixels of the largest picture: 400 MB while it is drawn."""


def png(svg: str, width: float, height: float, *, scale: float = 2.0, dark: bool = False) -> bytes:
    """Return the drawing as PNG, on the page's colour.

    Args:
        svg: as `svg.svg` returns it, in the theme `light` or `dark`.
        width: of the drawing, in px.
        height: of the drawing, in px.
        scale: pixels for a px.
        dark: whether the page is dark.

    Raises:
        UsageError: when resvg is not installed, or the picture would have more than `MAX_PIXELS`.
    """
    if not 0 < scale * scale * width * height <= MAX_PIXELS:
        raise UsageError(
            f"A picture of {width:.0f} × {height:.0f} px cannot be drawn at scale={scale!r}: it must have"
            f" between 1 and {MAX_PIXELS:,} pixels. Use another scale, or SVG."
        )
    if importlib.util.find_spec("resvg_py") is None:
        raise UsageError(
            "PNG needs resvg, which is not installed here: `pip install resvg-py`."
            " SVG and HTML need no package."
        )
    # Imported here because it is an optional library.
    import resvg_py

    drawn = resvg_py.svg_to_bytes(
        svg_string=svg,
        background=(DARK if dark else LIGHT).page,
        width=max(1, round(width * scale)),
        font_files=_fonts(),
        sans_serif_family="DejaVu Sans",
        font_family="DejaVu Sans",
    )
    return bytes(drawn)


def _fonts() -> "list[str]":
    """Return the files of DejaVu Sans that matplotlib ships, for machines without any font.

    Without a font resvg leaves out all text.
    """
    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations if found is not None else None
    fonts = [
        Path(folder, "mpl-data", "fonts", "ttf", name)
        for folder in folders or ()
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf")
    ]
    return [str(font) for font in fonts if font.is_file()]
