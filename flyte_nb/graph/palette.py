"""Define how phases and changes look: one mark, one word and one colour each, in graphs, cards and widgets.

A phase is never shown by its colour alone: it also has a mark of its own shape and a word. Text has
a contrast of at least 4.5 on its fill and on the page in both themes, and strokes and mid-tones of
at least 3.0 (WCAG 2.2, 1.4.3 and 1.4.11). `tests/graph/test_graph_palette.py` computes this from
the values here.

Mid-tones are for places that cannot know the theme (a card in an untrusted notebook, an `<img>`).
They can be told apart on white and on JupyterLab's dark page, and are never used for text.
"""

from typing import NamedTuple

from flyte_nb.graph.elements import CHANGED, NEW, REMOVED


class Tone(NamedTuple):
    """The colours of one phase in one theme, as `#rrggbb`."""

    ink: str
    """Text and strokes."""
    fill: str
    """The background of the text."""


class PhaseStyle(NamedTuple):
    """How one phase is shown."""

    mark: str
    """One character for text (U+FE0E after it asks for text, not emoji); `MARK_PATHS` has the same
    shape as a drawing."""
    word: str
    light: Tone
    dark: Tone
    mid: str
    """A colour that is visible on white and on black, for strokes, bars and marks; not for text."""
    shape: str
    """Key of `MARK_PATHS`."""
    dash: str = ""
    """`stroke-dasharray` of the node's outline."""
    width: float = 1.4
    """Stroke width of the node's outline, in px."""


class Theme(NamedTuple):
    """The colours that belong to no phase, as `#rrggbb`."""

    page: str
    card: str
    sunk: str
    ink: str
    soft: str
    line: str
    accent: str
    edge: str


LIGHT = Theme(
    page="#ffffff",
    card="#ffffff",
    sunk="#f4f6f8",
    ink="#1c2330",
    soft="#525c6b",
    line="#cfd5dd",
    accent="#2962d9",
    edge="#7d8794",
)
DARK = Theme(
    page="#111111",
    card="#171b21",
    sunk="#1d222a",
    ink="#e7ebf1",
    soft="#a9b4c2",
    line="#3d4653",
    accent="#7fb0ff",
    edge="#7d8794",
)

_OK = (Tone("#127452", "#e6f4ee"), Tone("#5ecfa0", "#152a22"), "#1d8f66")
_RUN = (Tone("#1b63c4", "#e7f0fc"), Tone("#7fb4ff", "#16263d"), "#1f7ae0")
_BAD = (Tone("#bc3317", "#fdebe6"), Tone("#ff8f73", "#331a14"), "#d6482b")
_QUIET = (Tone("#5a6675", "#f0f2f5"), Tone("#9aa5b4", "#222831"), "#7a8594")
_CACHED = (Tone("#7046b8", "#f1eafb"), Tone("#c3a2ff", "#241c36"), "#8a63d2")
_WAIT = (Tone("#875a00", "#fdf3dc"), Tone("#f0bf5a", "#2f2612"), "#a8740f")
_ABORT = (Tone("#8a4b2a", "#f6ebe4"), Tone("#dba07c", "#2c1f18"), "#a8694a")

# Drawn in a box of 12 x 12 px around 0,0, stroked with the phase's ink; closed shapes are filled.
MARK_PATHS = {
    "check": "M-4.5 .5L-1.5 3.5L4.5-3.5",
    "cross": "M-3.8-3.8L3.8 3.8M3.8-3.8L-3.8 3.8",
    "ring": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0",
    "half": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0M0-4.5v9M-1.7-4v8M-3.2-3.2v6.4",
    "bolt": "M1-5.5L-3.5 .8H0L-1 5.5L3.5-.8H0Z",
    "bar": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0M-3.2 3.2L3.2-3.2",
    "clock": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0M0-2.6V.2L1.9 1.5",
    "skip": "M-4.5-3.5L-.5 0L-4.5 3.5M.5-3.5L4.5 0L.5 3.5",
    "turn": "M3.9-1.8A4.3 4.3 0 1 0 4.3 .9M4.6-4.6V-1.4H1.4",
    "pause": "M-2-4V4M2-4V4",
    "tilde": "M-5 1C-3.5-3 -1.5-3 0 0S3.5 3 5-1",
}

CACHED = "CACHED"
"""The display phase of a node whose outputs came from the cache."""
PAUSED = "PAUSED"
"""The display phase of a gate that waits for a person."""
PROBLEM = "PROBLEM"
"""The display phase of a node that keeps its workflow from compiling."""

PHASE_STYLES = {
    "UNDEFINED": PhaseStyle("○", "not started", *_QUIET, shape="ring", dash="4 3"),
    "QUEUED": PhaseStyle("○", "queued", *_QUIET, shape="ring", dash="4 3"),
    "INITIALIZING": PhaseStyle("○", "starting", *_QUIET, shape="ring", dash="4 3"),
    "WAITING_FOR_RESOURCES": PhaseStyle("○", "waits", *_QUIET, shape="ring", dash="4 3"),
    "RUNNING": PhaseStyle("◐", "running", *_RUN, shape="half", width=2.0),
    "DYNAMIC_RUNNING": PhaseStyle("◐", "running", *_RUN, shape="half", width=2.0),
    "SUCCEEDING": PhaseStyle("◐", "finishing", *_RUN, shape="half", width=2.0),
    "SUCCEEDED": PhaseStyle("✓", "succeeded", *_OK, shape="check"),
    CACHED: PhaseStyle("⚡\ufe0e", "from cache", *_CACHED, shape="bolt"),
    "RECOVERED": PhaseStyle("↺", "recovered", *_CACHED, shape="turn"),
    "RETRYABLE_FAILED": PhaseStyle("↺", "failed, tries again", *_ABORT, shape="turn"),
    "FAILING": PhaseStyle("✕", "failing", *_BAD, shape="cross", width=2.0),
    "FAILED": PhaseStyle("✕", "failed", *_BAD, shape="cross", width=2.0),
    "TIMED_OUT": PhaseStyle("◷", "timed out", *_BAD, shape="clock", width=2.0),
    "ABORTING": PhaseStyle("⊘", "terminating", *_ABORT, shape="bar"),
    "ABORTED": PhaseStyle("⊘", "terminated", *_ABORT, shape="bar"),
    "SKIPPED": PhaseStyle("»", "skipped", *_QUIET, shape="skip", dash="2 3"),
    PAUSED: PhaseStyle("‖", "waits for you", *_WAIT, shape="pause", dash="6 3"),
    PROBLEM: PhaseStyle("✕", "problem", *_BAD, shape="cross", width=2.0),
}
"""By flyteidl's phase names; `CACHED`, `PAUSED` and `PROBLEM` are ours (see `display_phase`)."""


class ChangeStyle(NamedTuple):
    """How a node or an arrow that differs from the registered one is shown."""

    mark: str
    word: str
    light: Tone
    dark: Tone
    path: str
    """The mark as a drawing, in a box of 12 x 12 px around 0,0."""
    dash: str = ""


CHANGE_STYLES = {
    NEW: ChangeStyle("+", "new", *_OK[:2], path="M-3.5 0H3.5M0-3.5V3.5"),
    CHANGED: ChangeStyle("~", "changed", *_RUN[:2], path="M-4 1C-2.8-2 -1.2-2 0 0S2.8 2 4-1"),
    REMOVED: ChangeStyle("−", "removed", *_ABORT[:2], path="M-3.5 0H3.5", dash="3 4"),
}
"""By the marks of `elements`: `NEW`, `CHANGED`, `REMOVED`."""

_HITS = frozenset({"CACHE_HIT", "CACHE_LOOKUP_HIT"})


def style_of(phase: str) -> PhaseStyle:
    """Return the style of a phase; an unknown phase looks like `UNDEFINED`."""
    return PHASE_STYLES.get(phase) or PHASE_STYLES["UNDEFINED"]


def display_phase(phase: str, cache_status: str = "") -> str:
    """Return the key of `PHASE_STYLES` for a node; a success that came from the cache is `CACHED`.

    Args:
        phase: flyteidl's name of the phase.
        cache_status: flyteidl's name of the cache status, if there is one.
    """
    if phase == "SUCCEEDED" and cache_status in _HITS:
        return CACHED
    return phase if phase in PHASE_STYLES else "UNDEFINED"
