"""Inline styles of static cards: legible on any page, light or dark, known or not.

A card at rest cannot know the theme: a sanitizer takes `var(--jp-…)` and `<style>` away. So text has no
colour of its own (it inherits the page's ink, whose contrast is the page's business and good), surfaces
and lines are mid-tones with transparency, and the colour of a phase appears as a mark, an outline and a
tint, never as text.
"""

from flyte_nb.graph.palette import PHASE_STYLES, PhaseStyle

_LINE = "rgba(128, 138, 152, 0.35)"
_SUNK = "rgba(128, 138, 152, 0.09)"

LINE = f"1px solid {_LINE}"
MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px"
SOFT = "opacity:0.78"
QUIET = "opacity:0.78;font-size:12px"

CARD = (
    f"border:{LINE};border-radius:8px;overflow:hidden;max-width:1000px;margin:2px 0 10px 0;"
    "font-size:13px;line-height:1.45;text-align:left"
)
HEAD = "display:flex;flex-wrap:wrap;align-items:center;gap:3px 10px;padding:9px 14px"
TITLE = "font-size:14px;font-weight:600"
GROW = "flex:1 1 auto"
BODY = "padding:10px 14px"
SECTION = f"border-top:{LINE};padding:0"
SUMMARY = "padding:7px 14px;font-weight:600;cursor:pointer"
SUNK = f"background:{_SUNK}"

TABLE = "border-collapse:collapse;width:100%;margin:0;table-layout:auto;font-size:13px;border:none"
ROW = "background:transparent"
LONG = "word-break:break-all"
"""A name that breaks where there is no room, so that what stands beside it stays on the card. JupyterLab
keeps no `overflow-wrap:anywhere` in a notebook that it does not trust."""
CELL = (
    f"padding:5px 14px;text-align:left;vertical-align:top;border:none;border-top:{LINE};"
    "white-space:normal;overflow-wrap:break-word"
)
HEADING = (
    "padding:5px 14px;text-align:left;vertical-align:bottom;border:none;font-size:12px;"
    "font-weight:600;white-space:nowrap;opacity:0.78"
)
NAME = f"{MONO};opacity:0.78;white-space:nowrap"
RIGHT = "text-align:right;white-space:nowrap"
CODE = f"{MONO};{SUNK};padding:1px 4px;border-radius:3px;white-space:pre-wrap"
BLOCK = (
    f"{MONO};{SUNK};padding:8px 10px;margin:0;border-radius:5px;white-space:pre-wrap;"
    "overflow-wrap:break-word;line-height:1.5;max-height:320px;overflow-y:auto"
)

# What registration says about an entity, in the colours of the phases nearest in meaning.
NEW = PHASE_STYLES["SUCCEEDED"]._replace(mark="✓", word="new")
CHANGED = PHASE_STYLES["RUNNING"]._replace(mark="◐", word="changed")
UNCHANGED = PHASE_STYLES["QUEUED"]._replace(mark="=", word="unchanged")
FAILED = PHASE_STYLES["FAILED"]


def tint(color: str, alpha: float) -> str:
    """`#rrggbb` with transparency, spelled as the sanitizer wants it."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"


def pill(style: PhaseStyle) -> str:
    """The style of a pill in the colours of a phase."""
    return (
        f"display:inline-block;padding:0 9px;border-radius:10px;font-size:12px;font-weight:600;"
        f"line-height:17px;vertical-align:top;white-space:nowrap;background:{tint(style.mid, 0.13)};"
        f"border:1px solid {tint(style.mid, 0.5)}"
    )


def mark(style: PhaseStyle) -> str:
    """The style of a phase's mark. A graphic, so 3.0 of contrast is enough and is reached everywhere."""
    return f"color:{style.mid};font-weight:700"


def panel(style: PhaseStyle) -> str:
    """The style of a panel that speaks of an error (or of what a phase means)."""
    return (
        f"border-left:3px solid {style.mid};background:{tint(style.mid, 0.1)};padding:7px 12px;"
        "margin:0;border-radius:0 5px 5px 0;overflow-wrap:break-word"
    )
