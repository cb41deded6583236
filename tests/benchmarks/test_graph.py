"""Layout and SVG of 50, 500 and 2000 nodes against `dot -Tsvg` on the same graphs, in one run.

The bars are those of the design, 3.5 / 26 / 150 ms, as ratios: where they were set, dot took 11.1 / 86 /
1528 ms for these very graphs.
"""

import random
import shutil
import subprocess
from typing import Any

import pytest

from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.layout import layered
from flyte_nb.graph.svg import svg

pytestmark = pytest.mark.skipif(shutil.which("dot") is None, reason="dot is not installed")

CASES = [
    ("layered", 50, 0.3, 9),
    ("layered", 500, 0.3, 7),
    ("layered", 2000, 0.1, 3),
    ("chain", 500, 1.0, 5),
    ("fan", 500, 0.5, 5),
]


@pytest.mark.parametrize(("kind", "count", "bar", "rounds"), CASES)
def test_layout_and_svg_against_dot(
    compare: Any, kind: str, count: int, bar: float, rounds: int
) -> None:
    graph = make_graph(kind, count if compare.enabled else min(count, 50))
    source = dot_source(graph)

    def dot() -> Any:
        command = ["dot", "-Tsvg"]
        return subprocess.run(command, input=source, capture_output=True, text=True, check=True)

    compare(
        f"layout and SVG, {kind} {count} nodes, against dot",
        ours=lambda: svg(layered(graph)),
        peer=dot,
        bar=bar,
        rounds=rounds,
    )


def test_recolouring_is_far_cheaper_than_laying_out_again(compare: Any) -> None:
    graph = make_graph("layered", 500 if compare.enabled else 50)
    layout = layered(graph)
    phases = {node.id: "RUNNING" for node in graph.nodes}
    compare(
        "recolouring 500 nodes, against layout and SVG",
        ours=lambda: svg(layout, phases=phases),
        peer=lambda: svg(layered(graph), phases=phases),
        bar=0.6,
    )


def make_graph(kind: str, count: int, seed: int = 3) -> Graph:
    """The graphs of `reference/perf/p7_graph.py`."""
    rng = random.Random(seed)
    edges: set[tuple[int, int]] = set()
    if kind == "layered":
        wide = max(3, int(count**0.5 / 1.5))
        for node in range(wide, count):
            low = (node // wide - 1) * wide
            for parent in rng.sample(range(low, low + wide), min(wide, rng.choice((1, 1, 2, 3)))):
                edges.add((parent, node))
            if rng.random() < 0.05:
                edges.add((rng.randrange(0, low + wide), node))
    elif kind == "chain":
        edges = {(node, node + 1) for node in range(count - 1)}
    else:
        middle = range(1, count - 1)
        edges = {(0, node) for node in middle} | {(node, count - 1) for node in middle}
    return Graph(
        kind,
        tuple(
            GraphNode(f"n{i}", TASK_NODE, f"task_{i}", "", f"my.module.task_{i}")
            for i in range(count)
        ),
        tuple(GraphEdge(f"n{a}", f"n{b}") for a, b in sorted(edges)),
    )


def dot_source(graph: Graph) -> str:
    lines = ["digraph G { rankdir=LR; node [shape=box, style=rounded, fontname=Helvetica];"]
    lines += [f'{node.id} [label="{node.name}"];' for node in graph.nodes]
    lines += [f"{edge.source} -> {edge.target};" for edge in graph.edges]
    return "\n".join([*lines, "}"])
