"""The other engine: graphviz's `dot`, through the `graphviz` package, when both are installed.

Slower than our own and not needed, but its routes are spline-fitted. It fills the same `Layout`, so that
the picture is written by the same writer.
"""

import json
import shutil
from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.elements import END, START, Graph, GraphEdge
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

_FRAME_LABEL = 22  # font size of a blank label: it makes room for a frame's title
_INCH = 72.0  # dot's points in an inch; a point is a px here


def is_available() -> bool:
    """Whether `dot` can be used here."""
    if shutil.which("dot") is None:
        return False
    try:
        import graphviz  # noqa: F401 - an optional extra
    except ImportError:
        return False
    return True


def dot_layout(graph: Graph, *, subtitles: "Mapping[str, str] | None" = None) -> Layout:
    """Lay the graph out with `dot`.

    Args:
        graph: right or wrong.
        subtitles: second lines by node id; room is made for them.

    Raises:
        UsageError: when graphviz is not installed, or `dot` fails.
    """
    if not is_available():
        raise UsageError(
            "The dot engine needs Graphviz: `pip install graphviz` and the `dot` program."
            " The built-in layout needs nothing."
        )
    drawn = _Drawn(graph)
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


class _Drawn:
    """The graph in DOT; nodes, frames and edges are numbers, so that no name needs quoting."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        things = [*graph.nodes, *(frame.node for frame in graph.frames)]
        self.number = {thing.id: number for number, thing in enumerate(things)}
        self.names = {str(number) for number in range(len(graph.nodes))}
        self._frames = {frame.node.id: frame for frame in graph.frames}
        self.edges = [e for e in graph.edges if e.source in self.number and e.target in self.number]

    def source(self, subtitles: "Mapping[str, str]") -> str:
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
                # The point is there for frames that are empty, and for arrows to the frame itself.
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
        room = ",minlen=2" if edge.label else ""
        if edge.source == edge.target:
            ends = f"{self.number[edge.source]}->{self.number[edge.target]}"
        else:
            source, out = self._end(edge.source, END, "ltail", ":e")
            target, into = self._end(edge.target, START, "lhead", ":w")
            ends, room = f"{source}->{target}", room + out + into
        return f'{ends}[id="{number}"{room},arrowhead=none]'

    def _end(self, id: str, port: str, clip: str, side: str) -> "tuple[str, str]":
        """What an edge's end is called, and how it is clipped; a frame's is its port."""
        number = self.number[id]
        if id not in self._frames:
            return f"{number}{side}", ""
        inner = self.number.get(f"{id}/{port}")
        name = f"f{number}" if inner is None else str(inner)
        return name, f",{clip}=cluster_{number}"


def _run(source: str) -> Any:
    import graphviz

    try:
        text = graphviz.Source(source).pipe(format="json", encoding="utf-8", quiet=True)
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError) as error:
        raise UsageError(f"dot could not lay the graph out: {error}") from error
    return json.loads(text)


def _placed(graph: Graph, thing: "Mapping[str, Any]", height: float) -> PlacedNode:
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


def _framed(graph: Graph, thing: "Mapping[str, Any]", height: float) -> PlacedFrame:
    left, bottom, right, top = map(float, thing["bb"].split(","))
    number = int(thing["name"].removeprefix("cluster_"))
    return PlacedFrame(
        graph.frames[number - len(graph.nodes)],
        round(MARGIN + left, 1),
        round(MARGIN + height - top, 1),
        round(right - left, 1),
        round(top - bottom, 1),
    )


def _route(edge: GraphEdge, thing: "Mapping[str, Any]", height: float) -> Route:
    points = [
        (round(MARGIN + float(x), 1), round(MARGIN + height - float(y), 1))
        for x, y in (
            pair.split(",")[-2:] for pair in thing["pos"].split() if not pair.startswith("s,")
        )
    ]
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
