"""Inline styles of static cards, legible on any page, light or dark.

A static card cannot know the theme of the page: the sanitizer removes `var(--jp-…)` and `<style>`. So text
has no colour of its own and inherits the page's. Surfaces and lines are mid-tones with transparency. The
colour of a phase appears as a mark, an outline and a tint, never as the colour of a text.
"""

from flyte_nb.api import phases
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
"""For long names: they break where there is no room, so that the next column stays on the card. JupyterLab
removes `overflow-wrap:anywhere` from a notebook that was not trusted."""
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

# The states of a registered entity, in the colours of the phases that are nearest in meaning.
NEW = PHASE_STYLES[phases.SUCCEEDED]._replace(mark="✓", word="new")
CHANGED = PHASE_STYLES[phases.RUNNING]._replace(mark="◐", word="changed")
UNCHANGED = PHASE_STYLES[phases.QUEUED]._replace(mark="=", word="unchanged")
FAILED = PHASE_STYLES[phases.FAILED]


def tint(color: str, alpha: float) -> str:
    """Return `#rrggbb` with the transparency `alpha`, spelled as the sanitizer accepts it."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"


def pill(style: PhaseStyle) -> str:
    """Return the style of a pill in the colours of a phase."""
    return (
        f"display:inline-block;padding:0 9px;border-radius:10px;font-size:12px;font-weight:600;"
        f"line-height:17px;vertical-align:top;white-space:nowrap;background:{tint(style.mid, 0.13)};"
        f"border:1px solid {tint(style.mid, 0.5)}"
    )


def mark(style: PhaseStyle) -> str:
    """Return the style of a phase's mark. It is a graphic, for which WCAG asks a contrast of 3, not 4.5."""
    return f"color:{style.mid};font-weight:700"


def panel(style: PhaseStyle) -> str:
    """Return the style of a panel with a coloured edge, for an error or another message about a phase."""
    return (
        f"border-left:3px solid {style.mid};background:{tint(style.mid, 0.1)};padding:7px 12px;"
        "margin:0;border-radius:0 5px 5px 0;overflow-wrap:break-word"
    )
