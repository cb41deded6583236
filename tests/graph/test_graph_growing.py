"""A node opens to what it turned out to run, in its own place only."""

from flyte_nb.graph.elements import Graph, GraphNode
from flyte_nb.graph.growing import grown
from flyte_nb.graph.opening import openable, opened

PAIR = Graph("pair", (GraphNode("dn0", "task", "double"), GraphNode("dn1", "task", "double")), ())
SUB = Graph("sub", (GraphNode("n0", "task", "spread"),), ())
TWICE = Graph(
    "twice",
    (GraphNode("a", "workflow", "sub", opens="s"), GraphNode("b", "workflow", "sub", opens="s")),
    (),
    within={"s": SUB},
)


def ids(graph: Graph, *open: str) -> list[str]:
    drawn = opened(graph, open)
    return [*(node.id for node in drawn.nodes), *(f"[{frame.node.id}]" for frame in drawn.frames)]


def test_a_node_opens_to_what_it_turned_out_to_run():
    graph = grown(SUB, "n0", PAIR)
    assert graph.nodes[0].can_open
    assert ids(graph, "n0") == ["n0/dn0", "n0/dn1", "[n0]"]
    assert ids(SUB, "n0") == ["n0"], "the graph before is as it was"


def test_a_node_inside_of_a_sub_workflow_grows_in_its_own_place_only():
    graph = grown(TWICE, "b/n0", PAIR)
    assert openable(graph) == {"a", "b", "b/n0"}
    assert ids(graph, "a", "a/n0", "b", "b/n0") == [
        "a/n0",
        "b/n0/dn0",
        "b/n0/dn1",
        "[a]",
        "[b]",
        "[b/n0]",
    ]


def test_what_grew_can_grow_further_and_has_levels_of_its_own():
    inner = PAIR._replace(
        nodes=(*PAIR.nodes, GraphNode("dn2", "workflow", "sub", opens="s")),
        within={"s": Graph("another", (GraphNode("x", "task", "x"),), ())},
    )
    graph = grown(grown(TWICE, "a/n0", inner), "a/n0/dn0", SUB)
    assert openable(graph) == {"a", "a/n0", "a/n0/dn0", "a/n0/dn2", "b"}
    assert "a/n0/dn2/x" in ids(graph, "a", "a/n0", "a/n0/dn2"), (
        "not the sub-workflow of the outer graph"
    )
    assert "a/n0/dn0/n0" in ids(graph, "a", "a/n0", "a/n0/dn0")


def test_a_further_attempt_takes_the_place_of_the_one_before():
    graph = grown(grown(SUB, "n0", PAIR), "n0", SUB)
    assert ids(graph, "n0") == ["n0/n0", "[n0]"]


def test_a_node_that_is_not_there_changes_nothing():
    assert grown(SUB, "n7/n0", PAIR) == SUB
    assert grown(SUB, "n0/n0", PAIR) == SUB
