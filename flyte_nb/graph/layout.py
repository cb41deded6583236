"""From a graph to places and routes. One port, two engines: our own layered one, and graphviz.

    graph ─ levels ─ ranking ─ ordering ─ coordinates ─ routes ─→ Layout ─ svg

Drawn from left to right. Our engine needs nothing, gives the same answer every time and never fails: a
wrong workflow (cycles, arrows to itself, nothing connected) is laid out like any other. What stands in a
frame is laid out on its own first; the frame is then a large node of the level around it. So a frame
holds its members and nothing else, and opening one moves nothing inside of another.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.graph.elements import INPUTS, OUTPUTS, Frame, Graph
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
    Engine,
    Layout,
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
    "Engine",
    "Layout",
    "PlacedFrame",
    "PlacedNode",
    "Route",
    "layered",
    "node_width",
]


def layered(graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
    """Lay the graph out in columns, with few crossings and straight chains. Linear in practice.

    Args:
        graph: right or wrong; with frames, as `opening.opened` makes them.
        subtitles: second lines by node id, where they are known already; room is made for them.
    """
    if not graph.nodes and not graph.frames:
        return Layout(graph, (), (), 2 * MARGIN, 2 * MARGIN, 0)
    levels = levels_of(graph)
    opened = {frame.node.id: frame for frame in graph.frames}
    inner: dict[str, _Inner] = {}
    for key in reversed(levels):  # those in a frame come after those around it
        inner[key] = _arranged(opened.get(key), levels[key], inner, subtitles or {})
    placing = _Placing(inner, opened)
    waiting = [("", float(MARGIN), float(MARGIN))]
    while waiting:
        waiting += placing.level(*waiting.pop())
    nodes = placing.nodes
    if opened:
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
    """A level that has been brought into columns, and the room it needs as a frame."""

    arrangement: Arrangement
    box: Box
    left: float
    """Where its columns begin, in px from the frame's left edge."""


def _arranged(
    frame: "Frame | None",
    level: Level,
    inner: "Mapping[str, _Inner]",
    subtitles: "Mapping[str, str]",
) -> _Inner:
    entry = exit = None
    boxes = []
    for number, thing in enumerate(level.things):
        if thing.id in inner:
            boxes.append(inner[thing.id].box)
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
    port = entry if entry is not None else exit
    axis = done.height / 2 if port is None else done.centre[port]
    needed = left + done.width + right
    width = max(needed, frame_title_width(frame.node))
    if exit is not None:
        done.grid.left[-1] += width - needed  # it stays on the frame's right edge
    box = Box(width, FRAME_HEAD + axis, done.height - axis + FRAME_PAD, fills=False)
    return _Inner(done, box, left)


class _Placing:
    """Gives everything its place on the page, level by level inwards."""

    def __init__(self, inner: "Mapping[str, _Inner]", opened: "Mapping[str, Frame]") -> None:
        self._inner = inner
        self._opened = opened
        self.nodes: list[PlacedNode] = []
        self.frames: list[PlacedFrame] = []
        self.routes: list[Route] = []

    def level(self, key: str, x: float, y: float) -> "list[tuple[str, float, float]]":
        """Place one level with its left top at `x`, `y`; return the levels within it, with theirs."""
        done = self._inner[key].arrangement
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
                self.nodes.append(PlacedNode(thing, begin - PORT, top, 2 * PORT, 2 * PORT))
                ends.append(begin)
        self._routes(done, grid, centre, ends)
        return deeper

    def _routes(
        self, done: Arrangement, grid: Grid, centre: "list[float]", ends: "list[float]"
    ) -> None:
        chains = done.columns.chains
        loops = []
        for edge, source, target in done.level.arrows:
            if source == target:
                box = done.boxes[source]
                loops.append(loop(edge, ends[source], centre[source] - box.above))
                continue
            back = (source, target) in done.back
            pair = (target, source) if back else (source, target)
            heights = [centre[vertex] for vertex in (pair[0], *chains.get(pair, ()), pair[1])]
            draw = turned if back else route
            self.routes.append(draw(edge, heights, done.rank[pair[0]], ends[pair[0]], grid))
        self.routes += loops
