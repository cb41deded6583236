"""Graphs for the tests of this folder."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from flyte_nb.api.nodes import (
    ARRAY_NODE,
    BRANCH_NODE,
    END_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    START_NODE,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.graph.elements import (
    CASE,
    FAILURE,
    INPUTS,
    ORDER,
    OUTPUTS,
    Graph,
    GraphEdge,
    GraphNode,
)

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Path:
    if not VECTORS.is_dir():
        pytest.skip(f"the compiler vectors are not at {VECTORS}")
    return VECTORS


@pytest.fixture
def churn() -> Graph:
    """Six tasks: two in a row, a fan of three, one that gathers."""
    titles = ("load", "split", "train · 3", "train · 5", "baseline", "select")
    nodes = tuple(GraphNode(f"n{i}", TASK_NODE, title) for i, title in enumerate(titles))
    pairs = ("n0 n1", "n1 n2", "n1 n3", "n1 n4", "n2 n5", "n3 n5", "n4 n5")
    return Graph("pipeline", nodes, tuple(GraphEdge(*pair.split()) for pair in pairs))


@pytest.fixture
def wrong() -> Graph:
    """Two tasks between inputs and outputs, to which tests add problems."""
    nodes = (
        GraphNode(START_NODE, INPUTS, "inputs", "rows"),
        GraphNode("n0", TASK_NODE, "train"),
        GraphNode("n1", TASK_NODE, "score"),
        GraphNode(END_NODE, OUTPUTS, "outputs", "o0"),
    )
    edges = (
        GraphEdge(START_NODE, "n0", variables=(("rows", "rows"),)),
        GraphEdge("n0", "n1", variables=(("o0", "model"),)),
        GraphEdge("n1", END_NODE, variables=(("o0", "o0"),)),
    )
    return Graph("pipeline", nodes, edges)


@pytest.fixture
def kinds() -> Graph:
    """Every kind of node and edge, long names among them."""
    nodes = (
        GraphNode(START_NODE, INPUTS, "inputs", "since, until, threshold, folder"),
        GraphNode("n0", TASK_NODE, "load_customer_transactions_from_the_warehouse"),
        GraphNode("n1", WORKFLOW_NODE, "clean", "sub-workflow"),
        GraphNode("n2", BRANCH_NODE, "big_enough", "else fails"),
        GraphNode("n2-n0", TASK_NODE, "train_large"),
        GraphNode("n2-n1", TASK_NODE, "train_small"),
        GraphNode("n3", ARRAY_NODE, "score_part", "map · 10 at a time"),
        GraphNode("n4", GATE_NODE, "review", "waits for approval"),
        GraphNode("n5", LAUNCH_PLAN_NODE, "publish", "launch plan"),
        GraphNode("n6", TASK_NODE, "notify", "runs on failure"),
        GraphNode(END_NODE, OUTPUTS, "outputs", "accuracy"),
    )
    edges = (
        GraphEdge(START_NODE, "n0"),
        GraphEdge("n0", "n1"),
        GraphEdge("n1", "n2"),
        GraphEdge("n2", "n2-n0", CASE, "rows > 100000 and threshold < 0.5"),
        GraphEdge("n2", "n2-n1", CASE, "else"),
        GraphEdge("n2-n0", "n3"),
        GraphEdge("n2-n1", "n3"),
        GraphEdge(START_NODE, "n3"),
        GraphEdge("n3", "n4"),
        GraphEdge("n4", "n5", ORDER),
        GraphEdge("n3", END_NODE),
        GraphEdge(START_NODE, "n6", FAILURE),
    )
    return Graph("kinds", nodes, edges)


@pytest.fixture(scope="session")
def dag() -> "Callable[..., Graph]":
    """Graphs by kind and number of nodes; the generator of `reference/perf/p7_graph.py`."""
    return make_dag


def make_dag(kind: str, count: int, seed: int = 3) -> Graph:
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
    elif kind == "fan":
        middle = range(1, count - 1)
        edges = {(0, node) for node in middle} | {(node, count - 1) for node in middle}
    else:
        raise ValueError(kind)
    return Graph(
        kind,
        tuple(GraphNode(f"n{i}", TASK_NODE, f"task_{i}", "", f"my.task_{i}") for i in range(count)),
        tuple(GraphEdge(f"n{a}", f"n{b}") for a, b in sorted(edges)),
    )
