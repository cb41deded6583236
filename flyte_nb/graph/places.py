"""Define where everything stands: what layout engines return and the SVG writer reads.

Graphs are drawn from left to right; sizes are in px.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from flyte_nb.graph.elements import Graph, GraphEdge, GraphFrame, GraphNode
from flyte_nb.graph.metrics import text_width

NODE_HEIGHT = 44
TITLE_SIZE = 12.0
SUBTITLE_SIZE = 10.5
LABEL_SIZE = 10.5
TEXT_LEFT = 12  # px from the node's edge to its text
MARGIN = 8  # px around the whole picture, for strokes and badges
MAX_LABEL = 190  # px of the longest label of an arrow
MARK_ROOM = 17  # px of a phase's mark in front of the title
OPENER_ROOM = 18  # px of the glyph that opens a node, behind the second line
FRAME_HEAD = 32  # px above the contents of a frame, for its title
FRAME_PAD = 14  # px around the contents of a frame
PORT = 3  # px, the radius of the dot where arrows pass through a frame

_MIN_WIDTH = 124  # px, enough for `0:29 · attempt 2`
_MAX_WIDTH = 216


class PlacedNode(NamedTuple):
    """A node and its box, in px from the top left corner."""

    node: GraphNode
    x: float
    y: float
    width: float
    height: float


class PlacedFrame(NamedTuple):
    """A frame and its box, in px from the top left corner. The title is in its first `FRAME_HEAD` px."""

    frame: GraphFrame
    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """An arrow as an SVG path."""

    edge: GraphEdge
    path: str
    tip: "tuple[float, float, float, float]"
    """Its end and its direction there: x, y, dx, dy."""
    label: str = ""
    """The edge's label, cut to `MAX_LABEL`."""
    label_at: "tuple[float, float] | None" = None
    """The label's right end and baseline."""


class Layout(NamedTuple):
    """A graph with a place for everything; sizes in px."""

    graph: Graph
    nodes: "tuple[PlacedNode, ...]"
    routes: "tuple[Route, ...]"
    width: float
    height: float
    crossings: int = -1
    """How many arrows cross, if the engine counts them; -1 if not."""
    frames: "tuple[PlacedFrame, ...]" = ()
    """Frames, each before those inside it."""


class LayoutEngine(Protocol):
    """A function that lays graphs out. There are two: `layout.layered` and `dot.dot_layout`."""

    def __call__(self, graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
        """Return the graph laid out; nodes become wide enough for `subtitles`, by node id."""
        ...


def node_width(node: GraphNode, subtitle: str = "") -> float:
    """Return the width of a node in px: what its texts need, within limits."""
    needed = max(
        MARK_ROOM + text_width(node.title, TITLE_SIZE),
        text_width(subtitle or node.subtitle, SUBTITLE_SIZE)
        + (OPENER_ROOM if node.can_open else 0),
    )
    return min(_MAX_WIDTH, max(_MIN_WIDTH, needed + 2 * TEXT_LEFT))


def frame_title_width(node: GraphNode) -> float:
    """Return the width in px that a frame's title needs, with its mark, second text and glyph."""
    texts = text_width(node.title, TITLE_SIZE) * 1.08 + text_width(node.subtitle, SUBTITLE_SIZE)
    return min(2 * _MAX_WIDTH, texts + MARK_ROOM + 2 * TEXT_LEFT + 24)
