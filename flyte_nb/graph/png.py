"""A graph as PNG, without a system package: drawn by resvg, which is a wheel."""

import importlib.util
from pathlib import Path

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.palette import DARK, LIGHT

MAX_PIXELS = 100_000_000


def png(svg: str, width: float, height: float, *, scale: float = 2.0, dark: bool = False) -> bytes:
    """The drawing as PNG on the page's colour.

    Args:
        svg: of `svg.svg`, in the theme `light` or `dark`.
        width: of the drawing, in px.
        height: the same.
        scale: pixels for a px.
        dark: whether the page is dark.

    Raises:
        UsageError: resvg is not installed, or the picture would have more than `MAX_PIXELS`.
    """
    if not 0 < scale * scale * width * height <= MAX_PIXELS:
        raise UsageError(
            f"scale={scale!r} makes no picture of {width:.0f} × {height:.0f} px: it may have up to"
            f" {MAX_PIXELS:,} pixels. Take a smaller scale, or SVG."
        )
    if importlib.util.find_spec("resvg_py") is None:
        raise UsageError(
            "A PNG is drawn by resvg, which is not installed here: `pip install resvg-py`."
            " SVG and HTML need nothing."
        )
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
    """DejaVu Sans as matplotlib ships it: for machines without any font, where no text would be seen."""
    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations if found is not None else None
    fonts = [
        Path(folder, "mpl-data", "fonts", "ttf", name)
        for folder in folders or ()
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf")
    ]
    return [str(font) for font in fonts if font.is_file()]
