"""One level of a graph: what stands directly in the workflow, or directly in one frame.

Splitting a graph into its levels, and bringing one level into columns, in coordinates of its own.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.graph.coordinates import heights
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.metrics import text_width
from flyte_nb.graph.ordering import Columns, ordered, with_dummies
from flyte_nb.graph.places import LABEL_SIZE, MAX_LABEL
from flyte_nb.graph.ranking import adjacency, back_edges, ranks
from flyte_nb.graph.routes import Grid

_GAP = 20
_LINE_GAP = 17
_MAX_ALONE = 4  # nodes without arrows that may stand above each other
_COLUMN_GAP = 46
_MAX_COLUMN_GAP = 120


class Box(NamedTuple):
    """How much room something needs, in px; arrows come and go at the height that parts it."""

    width: float
    above: float
    below: float
    fills: bool = True
    """Whether it may be as wide as its column."""


class Level(NamedTuple):
    """What stands directly in one frame."""

    things: "list[GraphNode]"
    """Nodes, and what became a frame."""
    arrows: "list[tuple[GraphEdge, int, int]]"
    """Edges, with the numbers of the things that they lead from and to."""


class Arrangement(NamedTuple):
    """A level in columns. Heights are counted from the top, lefts from the left of its first thing."""

    level: Level
    boxes: "list[Box]"
    rank: "list[int]"
    """The column of each thing."""
    columns: Columns
    centre: "list[float]"
    """The height of each thing's arrows, then of each dummy."""
    grid: Grid
    back: "set[tuple[int, int]]"
    """Arrows that are drawn against the order."""
    width: float
    height: float
    crossings: int


def levels_of(graph: Graph) -> "dict[str, Level]":
    """The levels by the frame's id, outer ones first; the key of the whole is empty.

    An edge belongs to the innermost level that holds both of its ends; where one of them stands deeper,
    it leads to the frame around that.
    """
    above: dict[str, str] = {}
    for frame in graph.frames:
        above.update(dict.fromkeys(frame.members, frame.node.id))
    number: dict[str, int] = {}
    levels = {"": Level([], [])}
    for frame in graph.frames:
        levels[frame.node.id] = Level([], [])
    for thing in _in_order(graph):
        things = levels[above.get(thing.id, "")].things
        number[thing.id] = len(things)
        things.append(thing)
    for edge in graph.edges:
        source, target = edge.source, edge.target
        if source not in number or target not in number:
            continue
        level = above.get(source, "")
        if level != above.get(target, ""):
            level, source, target = _lifted(source, target, above)
        levels[level].arrows.append((edge, number[source], number[target]))
    return levels


def _in_order(graph: Graph) -> "list[GraphNode]":
    """Nodes and frames, a frame where the first node in it stands."""
    if not graph.frames:
        return list(graph.nodes)
    frames = {frame.node.id: frame for frame in graph.frames}
    first = {node.id: index for index, node in enumerate(graph.nodes)}
    for frame in reversed(graph.frames):
        inner = [first[member] for member in frame.members if member in first]
        first[frame.node.id] = min(inner, default=len(graph.nodes))
    things = [*graph.nodes, *(frame.node for frame in frames.values())]
    return sorted(things, key=lambda thing: first[thing.id])


def _lifted(source: str, target: str, above: "Mapping[str, str]") -> "tuple[str, str, str]":
    """(innermost level of both, what the edge leads from and to there)."""

    def way(thing: str) -> "list[str]":
        steps = [thing]
        while steps[-1] in above:
            steps.append(above[steps[-1]])
        return [*steps, ""]

    outer = {step: index for index, step in enumerate(way(target))}
    steps = way(source)
    meeting = next(index for index, step in enumerate(steps) if step in outer)
    level = steps[meeting]
    targets = way(target)
    # An edge between a frame and something in it leads around inside of that thing's level.
    return (
        (level, steps[meeting - 1], targets[outer[level] - 1])
        if meeting and outer[level]
        else (above.get(level, ""), level, level)
    )


def arrange(
    level: Level, boxes: "list[Box]", ports: "tuple[int | None, int | None]"
) -> Arrangement:
    """Bring a level into columns.

    Args:
        level: right or wrong.
        boxes: the room that each thing needs.
        ports: the numbers of the things where arrows enter and leave a frame; they stand alone in the
            first and the last column, at one height.
    """
    pairs = [(source, target) for _, source, target in level.arrows if source != target]
    entry, exit = ports
    # In a wrong workflow arrows may lead into the entry, or out of the exit; nothing stands beyond those.
    turned = {(s, t) for s, t in pairs if ports != (None, None) and (t == entry or s == exit)}
    onward = [(t, s) if (s, t) in turned else (s, t) for s, t in pairs]
    back = turned | (back_edges(len(boxes), onward) - {(t, s) for s, t in turned})
    forward = list(dict.fromkeys((t, s) if (s, t) in back else (s, t) for s, t in pairs))
    rank = ranks(*adjacency(len(boxes), forward))
    _spread(rank, forward)
    _outermost(rank, ports)
    columns = with_dummies(forward, rank)
    order, crossings = ordered(columns)
    dummies = [0.0] * (len(columns.successors) - len(boxes))
    above = [box.above for box in boxes] + dummies
    below = [box.below for box in boxes] + dummies
    centre = heights(columns, order, above, below, gap=_GAP, line_gap=_LINE_GAP)
    if entry is not None and exit is not None:
        centre[exit] = centre[entry]
    grid = _grid(level, boxes, rank, centre, order)
    width = grid.left[-1] + grid.width[-1] if grid.left else 0.0
    height = max((c + b for c, b in zip(centre, below, strict=True)), default=0.0)
    return Arrangement(level, boxes, rank, columns, centre, grid, back, width, height, crossings)


def _outermost(rank: "list[int]", ports: "tuple[int | None, int | None]") -> None:
    entry, exit = ports
    if entry is not None and rank.count(rank[entry]) > 1:
        rank[:] = [column + 1 for column in rank]
        rank[entry] = 0
    if exit is not None and (rank[exit] < max(rank) or rank.count(rank[exit]) > 1):
        rank[exit] = max(rank) + 1


def _spread(rank: "list[int]", edges: "list[tuple[int, int]]") -> None:
    """Nodes without any arrow stand in a block, instead of one tall column."""
    joined = {node for edge in edges for node in edge}
    alone = [node for node in range(len(rank)) if node not in joined]
    if len(alone) > _MAX_ALONE:
        rows = max(_MAX_ALONE, round((len(alone) * 2) ** 0.5))
        for number, node in enumerate(alone):
            rank[node] = number // rows


def _grid(
    level: Level,
    boxes: "list[Box]",
    rank: "list[int]",
    centre: "list[float]",
    order: "list[list[int]]",
) -> Grid:
    """Where columns stand: gaps from how steep arrows are and what is written on them."""
    width = [0.0] * len(order)
    fill = [0.0] * len(order)
    for column, box in zip(rank, boxes, strict=True):
        if box.width > width[column]:
            width[column] = box.width
        if box.fills and box.width > fill[column]:
            fill[column] = box.width
    tail = [0.0] * len(width)
    steepest = [0.0] * len(width)
    for edge, source, target in level.arrows:
        column = max(rank[source], rank[target])
        if edge.label:
            room = min(MAX_LABEL, text_width(edge.label, LABEL_SIZE)) + 14
            tail[column] = max(tail[column], room)
        if abs(rank[source] - rank[target]) == 1:
            rise = abs(centre[source] - centre[target])
            if rise > steepest[column]:
                steepest[column] = rise
    left = []
    x = 0.0
    for column in range(len(width)):
        if column:
            x += min(_MAX_COLUMN_GAP, _COLUMN_GAP + steepest[column] * 0.12) + tail[column]
        left.append(round(x, 1))
        x += width[column]
    return Grid(left, width, tail, fill)
