"""Split a graph into levels, and bring one level into columns.

A level is what stands directly in the workflow, or directly in one frame. Each is laid out by
itself, in coordinates of its own.
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

_GAP = 20  # px between two nodes of a column
_LINE_GAP = 17  # px between an arrow that passes a column and what is beside it
_MAX_ALONE = 4  # nodes without arrows that may stand above each other
_COLUMN_GAP = 46  # px between two columns, where the arrows are level
_MAX_COLUMN_GAP = 120  # px, where they are steep


class Box(NamedTuple):
    """The room that a thing needs, in px; its arrows come and go between `above` and `below`."""

    width: float
    above: float
    below: float
    fills: bool = True
    """Whether it is widened to the width of its column. Nodes are; frames and ports are not."""


class Level(NamedTuple):
    """The nodes, frames and arrows directly inside one frame, or directly in the workflow."""

    things: "list[GraphNode]"
    """Nodes, and the nodes that became frames."""
    arrows: "list[tuple[GraphEdge, int, int]]"
    """Edges, each with the index in `things` of its source and of its target."""


class Arrangement(NamedTuple):
    """A level in columns. Heights are px from the top, and lefts are px from the level's left edge."""

    level: Level
    boxes: "list[Box]"
    rank: "list[int]"
    """The column of each thing."""
    columns: Columns
    centre: "list[float]"
    """The height of each thing's arrows, then the height of each dummy."""
    grid: Grid
    back: "set[tuple[int, int]]"
    """Arrows that lead from right to left, because they close a cycle."""
    width: float
    height: float
    crossings: int


def levels_of(graph: Graph) -> "dict[str, Level]":
    """Return the levels by the id of their frame, outer ones first; the key of the outermost is empty.

    An edge belongs to the innermost level that contains both of its ends. Where an end is deeper,
    the edge leads to the frame around it.
    """
    above: dict[str, str] = {}
    for frame in graph.frames:
        # The frame around each thing. Things that are in no frame are not in this dict.
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
    """Return nodes and frames in the order of the graph, a frame where its first node stands."""
    if not graph.frames:
        return list(graph.nodes)
    frames = {frame.node.id: frame for frame in graph.frames}
    first = {node.id: index for index, node in enumerate(graph.nodes)}
    for frame in reversed(graph.frames):
        # Inner frames come last in `graph.frames`, so going backwards finds their places before
        # those of the frames around them.
        inner = [first[member] for member in frame.members if member in first]
        first[frame.node.id] = min(inner, default=len(graph.nodes))
    things = [*graph.nodes, *(frame.node for frame in frames.values())]
    return sorted(things, key=lambda thing: first[thing.id])


def _lifted(source: str, target: str, above: "Mapping[str, str]") -> "tuple[str, str, str]":
    """Return the innermost level that contains both ends, and the ends as things of that level."""

    def path_out(thing: str) -> "list[str]":
        """Return the thing, the frames around it from the inside out, and the outermost level."""
        steps = [thing]
        while steps[-1] in above:
            steps.append(above[steps[-1]])
        return [*steps, ""]

    # Walk outwards from both ends; the first frame (or the outermost level) on both ways is the
    # level.
    outer = {step: index for index, step in enumerate(path_out(target))}
    steps = path_out(source)
    meeting = next(index for index, step in enumerate(steps) if step in outer)
    level = steps[meeting]
    targets = path_out(target)
    # An edge between a frame and something inside it becomes an arrow from the frame to itself.
    return (
        (level, steps[meeting - 1], targets[outer[level] - 1])
        if meeting and outer[level]
        else (above.get(level, ""), level, level)
    )


def arrange(
    level: Level, boxes: "list[Box]", ports: "tuple[int | None, int | None]"
) -> Arrangement:
    """Return a level in columns.

    Args:
        level: valid or invalid.
        boxes: the room that each thing needs.
        ports: the indices of the things where arrows enter and leave a frame, or `None`. They stand
            alone
            in the first and the last column, at the same height.
    """
    pairs = [(source, target) for _, source, target in level.arrows if source != target]
    entry, exit = ports
    # In an invalid workflow arrows may lead into the entry or out of the exit. They are turned around,
    # since nothing may stand outside of the ports.
    turned = {(s, t) for s, t in pairs if ports != (None, None) and (t == entry or s == exit)}
    onward = [(t, s) if (s, t) in turned else (s, t) for s, t in pairs]
    back = turned | (back_edges(len(boxes), onward) - {(t, s) for s, t in turned})
    # From here on the graph has no cycle: every back edge is turned around.
    forward = list(dict.fromkeys((t, s) if (s, t) in back else (s, t) for s, t in pairs))
    # Each step hands its result to the next one: ranks, dummies, order, heights, and last the
    # columns' x.
    rank = ranks(*adjacency(len(boxes), forward))
    _spread(rank, forward)
    _outermost(rank, ports)
    columns = with_dummies(forward, rank)
    order, crossings = ordered(columns)
    # A dummy is a line: it has no height of its own.
    dummies = [0.0] * (len(columns.successors) - len(boxes))
    above = [box.above for box in boxes] + dummies
    below = [box.below for box in boxes] + dummies
    centre = heights(columns, order, above, below, gap=_GAP, line_gap=_LINE_GAP)
    # Then a frame that only passes a value through draws one straight line.
    if entry is not None and exit is not None:
        centre[exit] = centre[entry]
    grid = _grid(level, boxes, rank, centre, order)
    width = grid.left[-1] + grid.width[-1] if grid.left else 0.0
    height = max((c + b for c, b in zip(centre, below, strict=True)), default=0.0)
    return Arrangement(level, boxes, rank, columns, centre, grid, back, width, height, crossings)


def _outermost(rank: "list[int]", ports: "tuple[int | None, int | None]") -> None:
    """Move the entry to a first column of its own, and the exit to a last one."""
    entry, exit = ports
    if entry is not None and rank.count(rank[entry]) > 1:
        # Everything moves one column to the right to make room for the entry.
        rank[:] = [column + 1 for column in rank]
        rank[entry] = 0
    if exit is not None and (rank[exit] < max(rank) or rank.count(rank[exit]) > 1):
        rank[exit] = max(rank) + 1


def _spread(rank: "list[int]", edges: "list[tuple[int, int]]") -> None:
    """Arrange nodes without any arrow in a block; by their rank alone they would form one tall column."""
    joined = {node for edge in edges for node in edge}
    alone = [node for node in range(len(rank)) if node not in joined]
    if len(alone) > _MAX_ALONE:
        # Twice as many rows as columns, because nodes are wider than high.
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
    """Return the columns' places; gaps grow with the steepness of their arrows and the labels on them."""
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
            # A label stands at the end of the gap in front of its arrow's head.
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
