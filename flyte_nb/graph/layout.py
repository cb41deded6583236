"""Lay a graph out: give every node, frame and arrow its place. This is the built-in engine.

    graph ─ levels ─ ranking ─ ordering ─ coordinates ─ routes ─→ Layout ─ svg

The layout is layered (Sugiyama, Tagawa, Toda 1981) and drawn from left to right. The engine needs
no other program, gives the same answer every time, and lays out any graph: also an invalid workflow
with cycles, arrows from a node to itself, or nothing connected.

Frames are laid out from the inside out. The contents of a frame are laid out first, in coordinates
of their own; then the frame is a large node of the level around it. So a frame contains its members
and nothing else, and opening a node moves nothing inside other frames.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphFrame
from flyte_nb.graph.levels import Arrangement, Box, Level, arrange, levels_of
from flyte_nb.graph.places import (
    FRAME_HEAD,
    FRAME_PAD,
    LABEL_SIZE,
    MARGIN,
    MARK_ROOM,
    MAX_LABEL,
    NODE_HEIGHT,
    PORT,
    SUBTITLE_SIZE,
    TEXT_LEFT,
    TITLE_SIZE,
    Layout,
    LayoutEngine,
    PlacedFrame,
    PlacedNode,
    Route,
    frame_title_width,
    node_width,
)
from flyte_nb.graph.routes import Grid, loop, route, turned

__all__ = [
    "LABEL_SIZE",
    "MARGIN",
    "MARK_ROOM",
    "MAX_LABEL",
    "NODE_HEIGHT",
    "SUBTITLE_SIZE",
    "TEXT_LEFT",
    "TITLE_SIZE",
    "LayoutEngine",
    "Layout",
    "PlacedFrame",
    "PlacedNode",
    "Route",
    "layered",
    "node_width",
]


def layered(graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
    """Return the graph laid out in columns, with few crossings and straight chains.

    The time is linear in the number of nodes and arrows, in practice.

    Args:
        graph: valid or invalid; with frames, as `opening.opened` makes them.
        subtitles: second lines by node id, where they are known already; nodes become wide enough.
    """
    if not graph.nodes and not graph.frames:
        return Layout(graph, (), (), 2 * MARGIN, 2 * MARGIN, 0)
    levels = levels_of(graph)
    opened = {frame.node.id: frame for frame in graph.frames}
    # A level is a value of its own until it is placed: columns and heights from 0, sizes in px.
    inner: dict[str, _Inner] = {}
    # From the inside out: a frame's level comes after the level around it, and needs to be done first.
    for key in reversed(levels):
        inner[key] = _arranged(opened.get(key), levels[key], inner, subtitles or {})
    placing = _Placing(inner, opened)
    # From the outside in: a frame's place is known when the level around it has been placed.
    waiting = [("", float(MARGIN), float(MARGIN))]
    while waiting:
        waiting += placing.level(*waiting.pop())
    nodes = placing.nodes
    if opened:
        # The writer draws nodes in their order in the graph, whatever level they are on.
        order = {node.id: number for number, node in enumerate(graph.nodes)}
        nodes.sort(key=lambda placed: order[placed.node.id])
    whole = inner[""].arrangement
    return Layout(
        graph,
        tuple(nodes),
        tuple(placing.routes),
        whole.width + 2 * MARGIN,
        whole.height + 2 * MARGIN,
        sum(item.arrangement.crossings for item in inner.values()),
        tuple(placing.frames),
    )


class _Inner(NamedTuple):
    """A level in columns, and the room it needs as a frame."""

    arrangement: Arrangement
    box: Box
    left: float
    """Px from the frame's left edge to the first column."""


def _arranged(
    frame: "GraphFrame | None",
    level: Level,
    inner: "Mapping[str, _Inner]",
    subtitles: "Mapping[str, str]",
) -> _Inner:
    """Return the level in columns, and the size of the frame around it.

    Args:
        frame: the frame; `None` for the outermost level.
        level: what is inside.
        inner: the levels inside this one, which are done.
        subtitles: second lines by node id.
    """
    # The outermost level has no ports: there the inputs and the outputs are nodes like any other.
    entry = exit = None
    boxes = []
    for number, thing in enumerate(level.things):
        if thing.id in inner:
            boxes.append(inner[thing.id].box)
        # Ports have no width: they are points on the frame's left and right edge.
        elif frame is not None and thing.kind == INPUTS:
            entry = number
            boxes.append(Box(0.0, PORT, PORT))
        elif frame is not None and thing.kind == OUTPUTS:
            exit = number
            boxes.append(Box(0.0, PORT, PORT))
        else:
            width = node_width(thing, subtitles.get(thing.id, ""))
            boxes.append(Box(width, NODE_HEIGHT / 2, NODE_HEIGHT / 2))
    done = arrange(level, boxes, (entry, exit))
    if frame is None:
        return _Inner(done, Box(done.width, 0.0, done.height), 0.0)
    left = 0.0 if entry is not None else float(FRAME_PAD)
    right = 0.0 if exit is not None else float(FRAME_PAD)
    # Arrows meet the frame at the height of its ports, so that they run on straight inside.
    port = entry if entry is not None else exit
    # The frame is a node of the level around it, so it needs one height for its own arrows: the
    # axis.
    axis = done.height / 2 if port is None else done.centre[port]
    needed = left + done.width + right
    width = max(needed, frame_title_width(frame.node))
    if exit is not None:
        # A wide title makes the frame wider than its contents; the exit stays on its right edge.
        done.grid.left[-1] += width - needed
    box = Box(width, FRAME_HEAD + axis, done.height - axis + FRAME_PAD, fills=False)
    return _Inner(done, box, left)


class _Placing:
    """Give everything its place on the page, level by level inwards."""

    def __init__(self, inner: "Mapping[str, _Inner]", opened: "Mapping[str, GraphFrame]") -> None:
        self._inner = inner
        self._opened = opened
        self.nodes: list[PlacedNode] = []
        self.frames: list[PlacedFrame] = []
        self.routes: list[Route] = []

    def level(self, key: str, x: float, y: float) -> "list[tuple[str, float, float]]":
        """Place one level, and return the levels inside it with their places.

        Args:
            key: the level's frame; empty for the outermost level.
            x: its left edge, in px.
            y: its top edge, in px.
        """
        done = self._inner[key].arrangement
        # Rounded once here, so that nodes and the arrows that end at them have exactly the same
        # numbers.
        left = [round(x + column, 1) for column in done.grid.left]
        grid = done.grid._replace(left=left)
        centre = [round(y + middle, 1) for middle in done.centre]
        deeper: list[tuple[str, float, float]] = []
        ends: list[float] = []  # where arrows leave each thing
        for number, (thing, box) in enumerate(zip(done.level.things, done.boxes, strict=True)):
            column = done.rank[number]
            begin, top = left[column], centre[number] - box.above
            if thing.id in self._opened:
                height = box.above + box.below
                frame = PlacedFrame(self._opened[thing.id], begin, top, box.width, height)
                self.frames.append(frame)
                deeper.append((thing.id, begin + self._inner[thing.id].left, top + FRAME_HEAD))
                ends.append(begin + box.width)
            elif box.width:
                width = grid.fill[column]
                self.nodes.append(PlacedNode(thing, begin, top, width, NODE_HEIGHT))
                ends.append(begin + width)
            else:
                # A port is a dot, whose middle is on the frame's edge.
                self.nodes.append(PlacedNode(thing, begin - PORT, top, 2 * PORT, 2 * PORT))
                ends.append(begin)
        self._routes(done, grid, centre, ends)
        return deeper

    def _routes(
        self, done: Arrangement, grid: Grid, centre: "list[float]", ends: "list[float]"
    ) -> None:
        """Add the arrows of one level."""
        # An arrow passes its source, one dummy in every column between, and its target: these are
        # the heights that its line runs through.
        chains = done.columns.chains
        loops = []
        for edge, source, target in done.level.arrows:
            if source == target:
                box = done.boxes[source]
                loops.append(loop(edge, ends[source], centre[source] - box.above))
                continue
            # An arrow that closes a cycle was turned around for the layout, and is drawn backwards.
            back = (source, target) in done.back
            pair = (target, source) if back else (source, target)
            heights = [centre[vertex] for vertex in (pair[0], *chains.get(pair, ()), pair[1])]
            draw = turned if back else route
            self.routes.append(draw(edge, heights, done.rank[pair[0]], ends[pair[0]], grid))
        # Loops come last, so that they are drawn over the other arrows of their node.
        self.routes += loops
