"""Where everything stands: the values that layout engines fill and the writer of SVG reads.

Drawn from left to right; sizes in px.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from flyte_nb.graph.elements import Frame, Graph, GraphEdge, GraphNode
from flyte_nb.graph.metrics import text_width

NODE_HEIGHT = 44
TITLE_SIZE = 12.0
SUBTITLE_SIZE = 10.5
LABEL_SIZE = 10.5
TEXT_LEFT = 12  # px from the node's edge to its text
MARGIN = 8  # px around everything: room for strokes and badges
MAX_LABEL = 190  # px of an arrow's label
MARK_ROOM = 17  # px a phase's mark takes in front of the title
OPENER_ROOM = 18  # px of the glyph that opens a node, behind its second line
FRAME_HEAD = 32  # px above what is in a frame, for its title
FRAME_PAD = 14  # px around what is in a frame
PORT = 3  # px: radius of the dot where arrows pass through a frame

_MIN_WIDTH = 124  # room for `0:29 · attempt 2`
_MAX_WIDTH = 216


class PlacedNode(NamedTuple):
    """A node and its box, in px from the top left."""

    node: GraphNode
    x: float
    y: float
    width: float
    height: float


class PlacedFrame(NamedTuple):
    """A frame and its box, in px from the top left; the title stands in its first `FRAME_HEAD` px."""

    frame: Frame
    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """An arrow as an SVG path. `tip` is (x, y, dx, dy): where it ends and in which direction."""

    edge: GraphEdge
    path: str
    tip: "tuple[float, float, float, float]"
    label: str = ""
    """The edge's label as far as there is room."""
    label_at: "tuple[float, float] | None" = None
    """Where the label ends (right, baseline)."""


class Layout(NamedTuple):
    """Everything has its place; sizes in px."""

    graph: Graph
    nodes: "tuple[PlacedNode, ...]"
    routes: "tuple[Route, ...]"
    width: float
    height: float
    crossings: int = -1
    """As the engine counts them; -1 when it does not."""
    frames: "tuple[PlacedFrame, ...]" = ()
    """Outer frames before those in them."""


class Engine(Protocol):
    """The port of the engines: `layout.layered`, `dot.dot_layout`."""

    def __call__(self, graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
        """Lay the graph out; `subtitles` are second lines to make room for."""
        ...


def node_width(node: GraphNode, subtitle: str = "") -> float:
    """The width that the node's texts need, in px, within what looks well."""
    needed = max(
        MARK_ROOM + text_width(node.title, TITLE_SIZE),
        text_width(subtitle or node.subtitle, SUBTITLE_SIZE)
        + (OPENER_ROOM if node.can_open else 0),
    )
    return min(_MAX_WIDTH, max(_MIN_WIDTH, needed + 2 * TEXT_LEFT))


def frame_title_width(node: GraphNode) -> float:
    """The width that a frame's title needs, with its mark and what opened, in px."""
    said = text_width(node.title, TITLE_SIZE) * 1.08 + text_width(node.subtitle, SUBTITLE_SIZE)
    return min(2 * _MAX_WIDTH, said + MARK_ROOM + 2 * TEXT_LEFT + 24)
