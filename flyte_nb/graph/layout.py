"""From a graph to places and routes. One port, two engines: our own layered one, and graphviz.

    graph ─ ranking ─ ordering ─ coordinates ─ routes ─→ Layout ─ svg

Drawn from left to right. Our engine needs nothing, gives the same answer every time and never fails: a
wrong workflow (cycles, arrows to itself, nothing connected) is laid out like any other.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from flyte_nb.graph.coordinates import heights
from flyte_nb.graph.metrics import fit, text_width
from flyte_nb.graph.ordering import ordered, with_dummies
from flyte_nb.graph.ranking import adjacency, back_edges, ranks
from flyte_nb.graph.values import Graph, GraphEdge, GraphNode

NODE_HEIGHT = 44
TITLE_SIZE = 12.0
SUBTITLE_SIZE = 10.5
LABEL_SIZE = 10.5
TEXT_LEFT = 12  # px from the node's edge to its text
MARGIN = 8  # px around everything: room for strokes and badges
MAX_LABEL = 190  # px of an arrow's label
MARK_ROOM = 17  # px a phase's mark takes in front of the title

_MIN_WIDTH = 124  # room for `0:29 · attempt 2`
_MAX_WIDTH = 216
_GAP = 20
_LINE_GAP = 17
_MAX_ALONE = 4  # nodes without arrows that may stand above each other
_COLUMN_GAP = 46
_MAX_COLUMN_GAP = 120


class PlacedNode(NamedTuple):
    """A node and its box, in px from the top left."""

    node: GraphNode
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


class Engine(Protocol):
    """The port of the engines: `layered` here, `dot.dot_layout`."""

    def __call__(self, graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
        """Lay the graph out; `subtitles` are second lines to make room for."""
        ...


def node_width(node: GraphNode, subtitle: str = "") -> float:
    """The width that the node's texts need, in px, within what looks well."""
    needed = max(
        MARK_ROOM + text_width(node.title, TITLE_SIZE),
        text_width(subtitle or node.subtitle, SUBTITLE_SIZE),
    )
    return min(_MAX_WIDTH, max(_MIN_WIDTH, needed + 2 * TEXT_LEFT))


def layered(graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
    """Lay the graph out in columns, with few crossings and straight chains. Linear in practice.

    Args:
        graph: right or wrong.
        subtitles: second lines by node id, where they are known already; room is made for them.
    """
    index = {node.id: number for number, node in enumerate(graph.nodes)}
    drawn, pairs, loops = _pairs(graph, index)
    if not graph.nodes:
        return Layout(graph, (), (), 2 * MARGIN, 2 * MARGIN, 0)
    back = back_edges(len(index), pairs)
    forward = _unique([(t, s) if (s, t) in back else (s, t) for s, t in pairs])
    rank = ranks(*adjacency(len(graph.nodes), forward))
    _spread(rank, forward)
    columns_of = with_dummies(forward, rank)
    columns, crossings = ordered(columns_of)
    sizes = [float(NODE_HEIGHT)] * len(graph.nodes)
    sizes += [0.0] * (len(columns_of.successors) - len(sizes))
    centre = heights(columns_of, columns, sizes, gap=_GAP, line_gap=_LINE_GAP)
    widths = _column_widths(graph, columns, subtitles or {})
    grid = _grid(widths, rank, drawn, pairs, centre)
    nodes = tuple(
        PlacedNode(
            node,
            grid.left[rank[number]],
            MARGIN + centre[number] - NODE_HEIGHT / 2,
            grid.width[rank[number]],
            NODE_HEIGHT,
        )
        for number, node in enumerate(graph.nodes)
    )
    routes = []
    for edge, (source, target) in zip(drawn, pairs, strict=True):
        turned = (source, target) in back
        pair = (target, source) if turned else (source, target)
        path = [pair[0], *columns_of.chains.get(pair, ()), pair[1]]
        points = [MARGIN + centre[vertex] for vertex in path]
        routes.append(_route(edge, points, rank[pair[0]], grid, turned=turned))
    routes += [_loop(edge, nodes[index[edge.source]]) for edge in loops]
    width = grid.left[-1] + grid.width[-1] + MARGIN
    height = 2 * MARGIN + max(c + s / 2 for c, s in zip(centre, sizes, strict=True))
    return Layout(graph, nodes, tuple(routes), width, height, crossings)


class _Grid(NamedTuple):
    """The columns from left to right, in px."""

    left: "list[float]"
    width: "list[float]"
    tail: "list[float]"
    """Of the gap in front of each column: how much of its end is straight, for labels."""


def _pairs(
    graph: Graph, index: "dict[str, int]"
) -> "tuple[list[GraphEdge], list[tuple[int, int]], list[GraphEdge]]":
    """(edges between two nodes, the same as indices, edges from a node to itself)."""
    drawn, pairs, loops = [], [], []
    for edge in graph.edges:
        source, target = index.get(edge.source), index.get(edge.target)
        if source is None or target is None:
            continue
        if source == target:
            loops.append(edge)
        else:
            drawn.append(edge)
            pairs.append((source, target))
    return drawn, pairs, loops


def _spread(rank: "list[int]", edges: "list[tuple[int, int]]") -> None:
    """Nodes without any arrow stand in a block, instead of one tall column."""
    joined = {node for edge in edges for node in edge}
    alone = [node for node in range(len(rank)) if node not in joined]
    if len(alone) > _MAX_ALONE:
        rows = max(_MAX_ALONE, round((len(alone) * 2) ** 0.5))
        for number, node in enumerate(alone):
            rank[node] = number // rows


def _unique(pairs: "list[tuple[int, int]]") -> "list[tuple[int, int]]":
    return list(dict.fromkeys(pairs))


def _column_widths(
    graph: Graph, columns: "list[list[int]]", subtitles: "Mapping[str, str]"
) -> "list[float]":
    count = len(graph.nodes)
    said = subtitles.get
    return [
        max(
            [
                node_width(node, said(node.id, ""))
                for v in column
                if v < count
                for node in (graph.nodes[v],)
            ],
            default=0.0,
        )
        for column in columns
    ]


def _grid(
    width: "list[float]",
    rank: "list[int]",
    drawn: "list[GraphEdge]",
    pairs: "list[tuple[int, int]]",
    centre: "list[float]",
) -> _Grid:
    """Where columns stand: gaps from how steep arrows are and what is written on them."""
    tail = [0.0] * len(width)
    steepest = [0.0] * len(width)
    for edge, (source, target) in zip(drawn, pairs, strict=True):
        column = max(rank[source], rank[target])
        if edge.label:
            room = min(MAX_LABEL, text_width(edge.label, LABEL_SIZE)) + 14
            tail[column] = max(tail[column], room)
        if abs(rank[source] - rank[target]) == 1:
            rise = abs(centre[source] - centre[target])
            if rise > steepest[column]:
                steepest[column] = rise
    left = []
    x = float(MARGIN)
    for column in range(len(width)):
        if column:
            x += min(_MAX_COLUMN_GAP, _COLUMN_GAP + steepest[column] * 0.12) + tail[column]
        left.append(round(x, 1))
        x += width[column]
    return _Grid(left, width, tail)


def _route(
    edge: GraphEdge, heights_: "list[float]", first: int, grid: _Grid, *, turned: bool
) -> Route:
    """A smooth line through the heights, one a column from column `first` on.

    Inside a column it is level, so that it never touches a node; in the gaps it is an S whose shape
    is the same for all arrows of the gap, so that two of them meet at most once.
    """
    left, width, tail = grid
    x, y = left[first] + width[first], heights_[0]
    if turned:
        return _turned(edge, heights_, first, grid)
    parts = [f"M{x:g} {y:g}"]
    last = len(heights_) - 1
    for step in range(1, last + 1):
        column = first + step
        height = heights_[step]
        end = left[column]
        if height != y:
            bend = end - tail[column] - (5 if step == last else 0)
            start = x if step == 1 else left[column - 1] + width[column - 1]
            if start != x:
                parts.append(f"H{start:g}")
            middle = (start + bend) / 2
            parts.append(f"C{middle:g} {y:g} {middle:g} {height:g} {bend:g} {height:g}")
            x, y = bend, height
    end = left[first + last]
    if x != end:
        parts.append(f"H{end:g}")
    label, label_at = "", None
    if edge.label:
        label = fit(edge.label, LABEL_SIZE, MAX_LABEL)
        label_at = (end - 10, y - 5)
    return Route(edge, "".join(parts), (end, y, 1.0, 0.0), label, label_at)


def _turned(edge: GraphEdge, heights_: "list[float]", first: int, grid: _Grid) -> Route:
    """An arrow against the order (part of a cycle): the same line, drawn from right to left."""
    left, width, _ = grid
    parts: list[str] = []
    for step in range(len(heights_) - 1, 0, -1):
        column = first + step
        start, end = left[column], left[column - 1] + width[column - 1]
        middle = (start + end) / 2
        y, height = heights_[step], heights_[step - 1]
        parts.append(f"{'L' if parts else 'M'}{start:g} {y:g}")
        parts.append(f"C{middle:g} {y:g} {middle:g} {height:g} {end:g} {height:g}")
    return Route(edge, "".join(parts), (left[first] + width[first], heights_[0], -1.0, 0.0))


def _loop(edge: GraphEdge, placed: PlacedNode) -> Route:
    """An arrow from a node to itself: a bow over its right upper corner."""
    x, y = placed.x + placed.width, placed.y
    path = f"M{x - 34:g} {y:g}C{x - 34:g} {y - 26:g} {x - 10:g} {y - 26:g} {x - 10:g} {y:g}"
    return Route(edge, path, (x - 10, y, 0.0, 1.0))
