"""Large graphs are collapsed to readable ones."""

from collections.abc import Callable

from flyte_nb.api.nodes import START_NODE
from flyte_nb.graph.collapse import collapsed
from flyte_nb.graph.elements import GROUP, INPUTS, Graph, GraphEdge, GraphNode


def test_a_graph_within_the_limit_is_left_alone(dag: "Callable[..., Graph]") -> None:
    graph = dag("fan", 300)
    assert collapsed(graph) is graph


def test_a_wide_fan_of_one_task_becomes_a_group() -> None:
    middle = tuple(GraphNode(f"n{i}", "task", f"score · {i}", "", "m.score") for i in range(1, 400))
    ends = (GraphNode("n0", "task", "split"), GraphNode("n400", "task", "merge"))
    edges = tuple(
        edge for node in middle for edge in (GraphEdge("n0", node.id), GraphEdge(node.id, "n400"))
    )
    small = collapsed(Graph("g", (ends[0], *middle, ends[1]), edges))
    assert [node.title for node in small.nodes] == ["split", "score × 399", "merge"]
    assert small.nodes[1].kind == GROUP
    assert len(small.nodes[1].members) == 399
    assert [(edge.source, edge.target) for edge in small.edges] == [("n0", "n1+"), ("n1+", "n400")]
    assert small.node("n17") is small.nodes[1]


def test_a_long_chain_becomes_its_first_and_last(dag: "Callable[..., Graph]") -> None:
    small = collapsed(dag("chain", 301))
    assert [node.title for node in small.nodes] == ["task_0 … task_300"]
    assert small.nodes[0].subtitle == "301 nodes"


def test_inputs_and_outputs_are_never_grouped(dag: "Callable[..., Graph]") -> None:
    chain = dag("chain", 400)
    start = GraphNode(START_NODE, INPUTS, "inputs", "x")
    small = collapsed(
        Graph("g", (start, *chain.nodes), (GraphEdge(START_NODE, "n0"), *chain.edges))
    )
    assert [node.kind for node in small.nodes] == [INPUTS, GROUP]


def test_every_node_is_still_in_the_graph(dag: "Callable[..., Graph]") -> None:
    graph = dag("layered", 600)
    small = collapsed(graph)
    members = [m for node in small.nodes for m in (node.members or (node.id,))]
    assert sorted(members) == sorted(node.id for node in graph.nodes)


def test_collapsing_a_ring_of_nodes_ends() -> None:
    nodes = tuple(GraphNode(f"n{i}", "task", f"t{i}") for i in range(400))
    edges = tuple(GraphEdge(f"n{i}", f"n{(i + 1) % 400}") for i in range(400))
    small = collapsed(Graph("g", nodes, edges))
    members = [m for node in small.nodes for m in (node.members or (node.id,))]
    assert sorted(members) == sorted(node.id for node in nodes)
