"""Lay graphs out with graphviz's `dot`, where the `graphviz` package and the program are installed.

This engine is slower than the built-in one and nothing needs it, but its routes are fitted splines.
It returns the same `Layout`, so the same writer draws the picture.
"""

import json
import shutil
from collections.abc import Mapping
from typing import TypedDict

from flyte_nb.api.errors import UsageError
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.graph.elements import Graph, GraphEdge
from flyte_nb.graph.metrics import fit
from flyte_nb.graph.places import (
    FRAME_PAD,
    LABEL_SIZE,
    MARGIN,
    MAX_LABEL,
    NODE_HEIGHT,
    PORT,
    Layout,
    PlacedFrame,
    PlacedNode,
    Route,
    node_width,
)

_FRAME_LABEL = 22  # font size of a blank label, which makes room for a frame's title
_INCH = 72.0  # dot's points in an inch; a point becomes a px


class _DotThing(TypedDict, total=False):
    """A node or a cluster in dot's JSON; numbers are texts there."""

    name: str
    pos: str
    width: str
    bb: str


class _DotEdge(TypedDict):
    """An edge in dot's JSON."""

    id: str
    pos: str


class _DotAnswer(TypedDict, total=False):
    """The graph in dot's JSON, as far as it is read here."""

    bb: str
    objects: "list[_DotThing]"
    edges: "list[_DotEdge]"


def is_available() -> bool:
    """Return whether `dot` can be used here."""
    if shutil.which("dot") is None:
        return False
    try:
        # Imported here because it is an optional library.
        import graphviz  # noqa: F401
    except ImportError:
        return False
    return True


def require_dot() -> None:
    """Check that `dot` can be used here. Raises `UsageError` with what to install."""
    if not is_available():
        raise UsageError(
            "The dot engine needs Graphviz: `pip install graphviz` and the `dot` program."
            " The built-in engine, `layered`, needs neither."
        )


def dot_layout(graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
    """Return the graph laid out with `dot`.

    Args:
        graph: valid or invalid; with frames, where something is open.
        subtitles: second lines by node id; nodes become wide enough for them.

    Raises:
        UsageError: when graphviz is not installed, or `dot` fails.
    """
    require_dot()
    drawn = _DotSource(graph)
    answer = _run(drawn.source(subtitles or {}))
    _, _, width, height = map(float, answer["bb"].split(","))
    nodes: list[PlacedNode] = []
    frames: list[PlacedFrame] = []
    for thing in answer.get("objects", ()):
        if "pos" in thing and thing["name"] in drawn.names:
            nodes.append(_placed(graph, thing, height))
        elif thing["name"].startswith("cluster_") and "bb" in thing:
            frames.append(_framed(graph, thing, height))
    nodes.sort(key=lambda placed: drawn.number[placed.node.id])
    frames.sort(key=lambda placed: drawn.number[placed.frame.node.id])
    routes = [_route(drawn.edges[int(t["id"])], t, height) for t in answer.get("edges", ())]
    size = width + 2 * MARGIN, height + 2 * MARGIN
    return Layout(graph, tuple(nodes), tuple(routes), *size, frames=tuple(frames))


class _DotSource:
    """The graph in DOT. Nodes, frames and edges are written by number, so no name needs quoting."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        things = [*graph.nodes, *(frame.node for frame in graph.frames)]
        self.number = {thing.id: number for number, thing in enumerate(things)}
        self.names = {str(number) for number in range(len(graph.nodes))}
        self._frames = {frame.node.id: frame for frame in graph.frames}
        self.edges = [e for e in graph.edges if e.source in self.number and e.target in self.number]

    def source(self, subtitles: "Mapping[str, str]") -> str:
        """Return the text for `dot`.

        Args:
            subtitles: second lines by node id.
        """
        lines = [
            "digraph{rankdir=LR;nodesep=0.28;ranksep=0.6;compound=true;"
            f'fontsize={_FRAME_LABEL};node[shape=box,fixedsize=true,label=""]'
        ]
        inside = {member for frame in self._graph.frames for member in frame.members}
        nodes = {node.id: node for node in self._graph.nodes}
        things = [*nodes, *self._frames]
        waiting: list[str | None] = [thing for thing in reversed(things) if thing not in inside]
        while waiting:
            thing = waiting.pop()
            if thing is None:  # the end of a frame
                lines.append("}")
                continue
            number = self.number[thing]
            if thing in self._frames:
                # In DOT an edge cannot end at a cluster. The invisible point stands for the frame, and
                # keeps a frame without members.
                lines.append(f'subgraph cluster_{number}{{label=" ";margin={FRAME_PAD}')
                lines.append(f"f{number}[shape=point,width=0.01,style=invis]")
                waiting += [None, *reversed(self._frames[thing].members)]
            elif thing in nodes:
                node = nodes[thing]
                width, height = node_width(node, subtitles.get(thing, "")), float(NODE_HEIGHT)
                if node.is_port:
                    width = height = 2.0 * PORT
                lines.append(f"{number}[width={width / _INCH:.4f},height={height / _INCH:.4f}]")
        lines += [self._edge(number, edge) for number, edge in enumerate(self.edges)]
        return "\n".join([*lines, "}"])

    def _edge(self, number: int, edge: GraphEdge) -> str:
        """Return an edge; its label is not written, but the edge gets room for it."""
        room = ",minlen=2" if edge.label else ""
        if edge.source == edge.target:
            ends = f"{self.number[edge.source]}->{self.number[edge.target]}"
        else:
            source, out = self._end(edge.source, END_NODE, "ltail", ":e")
            target, into = self._end(edge.target, START_NODE, "lhead", ":w")
            ends, room = f"{source}->{target}", room + out + into
        return f'{ends}[id="{number}"{room},arrowhead=none]'

    def _end(self, id: str, port: str, clip: str, side: str) -> "tuple[str, str]":
        """Return the name of an edge's end, and the attribute that clips it; a frame's end is its port."""
        number = self.number[id]
        if id not in self._frames:
            return f"{number}{side}", ""
        inner = self.number.get(f"{id}/{port}")
        name = f"f{number}" if inner is None else str(inner)
        return name, f",{clip}=cluster_{number}"


def _run(source: str) -> _DotAnswer:
    """Return what `dot` makes of the source.

    Raises:
        UsageError: when `dot` fails.
    """
    # Imported here because it is an optional library.
    import graphviz

    try:
        text = graphviz.Source(source).pipe(format="json", encoding="utf-8", quiet=True)
        answer: _DotAnswer = json.loads(text)
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError, OSError, ValueError) as error:
        raise UsageError(
            f"dot could not lay the graph out: {error} The built-in engine, `layered`, needs no dot."
        ) from error
    return answer


def _placed(graph: Graph, thing: _DotThing, height: float) -> PlacedNode:
    """Return a node with its place; dot's y axis points up and its `pos` is the middle."""
    x, y = map(float, thing["pos"].split(","))
    node = graph.nodes[int(thing["name"])]
    width = float(thing["width"]) * _INCH
    tall = 2.0 * PORT if node.is_port else float(NODE_HEIGHT)
    return PlacedNode(
        node,
        round(MARGIN + x - width / 2, 1),
        round(MARGIN + height - y - tall / 2, 1),
        round(width, 1),
        tall,
    )


def _framed(graph: Graph, thing: _DotThing, height: float) -> PlacedFrame:
    """Return a frame with its place."""
    left, bottom, right, top = map(float, thing["bb"].split(","))
    number = int(thing["name"].removeprefix("cluster_"))
    return PlacedFrame(
        graph.frames[number - len(graph.nodes)],
        round(MARGIN + left, 1),
        round(MARGIN + height - top, 1),
        round(right - left, 1),
        round(top - bottom, 1),
    )


def _route(edge: GraphEdge, thing: _DotEdge, height: float) -> Route:
    """Return an edge as an SVG path, with the direction of its end."""
    points = [
        (round(MARGIN + float(x), 1), round(MARGIN + height - float(y), 1))
        for x, y in (
            pair.split(",")[-2:] for pair in thing["pos"].split() if not pair.startswith("s,")
        )
    ]
    # dot puts the tip of the arrowhead first, marked with `e`; the head is drawn by `svg.py`.
    if thing["pos"].startswith("e,"):
        points = points[1:]
    start, rest = points[0], points[1:]
    parts = [f"M{start[0]:g} {start[1]:g}"]
    for first, second, end in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        parts.append("C" + " ".join(f"{x:g} {y:g}" for x, y in (first, second, end)))
    (from_x, from_y), (x, y) = rest[-2], rest[-1]
    length = max(((x - from_x) ** 2 + (y - from_y) ** 2) ** 0.5, 1e-6)
    tip = (x, y, round((x - from_x) / length, 3), round((y - from_y) / length, 3))
    label = fit(edge.label, LABEL_SIZE, MAX_LABEL) if edge.label else ""
    return Route(edge, "".join(parts), tip, label, (x - 10, y - 5) if label else None)
