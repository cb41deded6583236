"""The other engine: graphviz's `dot`, through the `graphviz` package, when both are installed.

Slower than our own and not needed, but its routes are spline-fitted. It fills the same `Layout`, so that
the picture is written by the same writer.
"""

import json
import shutil
from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.layout import (
    LABEL_SIZE,
    MARGIN,
    MAX_LABEL,
    NODE_HEIGHT,
    Layout,
    PlacedNode,
    Route,
    node_width,
)
from flyte_nb.graph.metrics import fit
from flyte_nb.graph.values import Graph, GraphEdge

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
    index = {node.id: number for number, node in enumerate(graph.nodes)}
    edges = [edge for edge in graph.edges if edge.source in index and edge.target in index]
    answer = _run(_source(graph, edges, index, subtitles or {}))
    _, _, width, height = map(float, answer["bb"].split(","))
    nodes = [_placed(graph, thing, height) for thing in answer.get("objects", ()) if "pos" in thing]
    nodes.sort(key=lambda placed: index[placed.node.id])
    routes = [_route(edges[int(thing["id"])], thing, height) for thing in answer.get("edges", ())]
    return Layout(graph, tuple(nodes), tuple(routes), width + 2 * MARGIN, height + 2 * MARGIN)


def _source(
    graph: Graph, edges: "list[GraphEdge]", index: "dict[str, int]", subtitles: "Mapping[str, str]"
) -> str:
    """The graph in DOT; nodes and edges are numbers, so that no name needs quoting."""
    lines = ['digraph{rankdir=LR;nodesep=0.28;ranksep=0.6;node[shape=box,fixedsize=true,label=""]']
    for number, node in enumerate(graph.nodes):
        width = node_width(node, subtitles.get(node.id, "")) / _INCH
        lines.append(f"{number}[width={width:.4f},height={NODE_HEIGHT / _INCH:.4f}]")
    for number, edge in enumerate(edges):
        room = ",minlen=2" if edge.label else ""
        ends = f"{index[edge.source]}:e->{index[edge.target]}:w"
        if edge.source == edge.target:
            ends = f"{index[edge.source]}->{index[edge.target]}"
        lines.append(f'{ends}[id="{number}"{room},arrowhead=none]')
    return "\n".join([*lines, "}"])


def _run(source: str) -> Any:
    import graphviz

    try:
        text = graphviz.Source(source).pipe(format="json", encoding="utf-8", quiet=True)
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError) as error:
        raise UsageError(f"dot could not lay the graph out: {error}") from error
    return json.loads(text)


def _placed(graph: Graph, thing: "Mapping[str, Any]", height: float) -> PlacedNode:
    x, y = map(float, thing["pos"].split(","))
    width = float(thing["width"]) * _INCH
    return PlacedNode(
        graph.nodes[int(thing["name"])],
        round(MARGIN + x - width / 2, 1),
        round(MARGIN + height - y - NODE_HEIGHT / 2, 1),
        round(width, 1),
        NODE_HEIGHT,
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
