"""The graph is written as a readable tree."""

from collections.abc import Callable

from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import Graph, GraphEdge, GraphFrame, GraphNode
from flyte_nb.graph.text import tree


def test_the_tree_shows_phases_and_the_other_nodes_that_a_node_waits_for(churn: Graph) -> None:
    phases = {"n0": "SUCCEEDED", "n1": "SUCCEEDED", "n2": "RUNNING", "n5": "QUEUED"}
    assert tree(churn, phases) == "\n".join(
        [
            "pipeline",
            "  ✓ load",
            "  ✓ split",
            "    ◐ train · 3",
            "    train · 5",
            "    baseline",
            "    ○ select  ← train · 3, train · 5",
        ]
    )


def test_the_tree_of_a_wrong_workflow_numbers_its_problems(wrong: Graph) -> None:
    problems = (Problem("MismatchingTypes", "expects int.", "n0", "depth", "Write depth=3."),)
    assert tree(wrong, None, problems) == "\n".join(
        [
            "pipeline",
            "  inputs: rows",
            "  ✕ 1 train",
            "  score",
            "  outputs: o0",
            "",
            "1. n0.depth: expects int. Write depth=3.",
        ]
    )


def test_a_cycle_is_listed_once() -> None:
    nodes = tuple(GraphNode(name, "task", name) for name in "abc")
    edges = tuple(GraphEdge(a, b) for a, b in ("ab", "bc", "ca"))
    assert tree(Graph("g", nodes, edges)) == "g\n  a\n  b\n  c"


def test_a_very_long_tree_is_cut_and_says_so(dag: "Callable[..., Graph]") -> None:
    lines = tree(dag("layered", 2000)).splitlines()
    assert len(lines) == 202
    assert lines[-1] == "  … and 1,800 more"


def test_the_contents_of_an_open_node_stand_behind_a_line() -> None:
    inner = (
        GraphNode("n1/start-node", "inputs", "inputs", "x"),
        GraphNode("n1/n0", "task", "parse"),
        GraphNode("n1/n1", "task", "dedupe"),
    )
    nodes = (GraphNode("n0", "task", "load", mark="new"), *inner, GraphNode("n2", "task", "save"))
    edges = tuple(
        GraphEdge(*pair.split())
        for pair in ("n0 n1", "n1/start-node n1/n0", "n1/n0 n1/n1", "n1 n2", "n0 n2")
    )
    frame = GraphFrame(
        GraphNode("n1", "workflow", "clean", "sub-workflow"), tuple(n.id for n in inner)
    )
    graph = Graph("pipeline", nodes, edges, "m.pipeline", (frame,))
    assert tree(graph, {"n1/n1": "RUNNING"}) == "\n".join(
        [
            "pipeline",
            "  + load",
            "  ▾ clean (sub-workflow)",
            "  │ parse",
            "  │ ◐ dedupe",
            "  save  ← load",
        ]
    )
