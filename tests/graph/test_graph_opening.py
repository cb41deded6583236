"""Nodes open and close by path, and closing gives the same graph again."""

import itertools
from collections.abc import Callable

import pytest
from flyteidl.core import compiler_pb2, workflow_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.nodes import ARRAY_NODE, END_NODE, START_NODE, TASK_NODE, WORKFLOW_NODE
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.layout import Layout, layered
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.opening import MAX_NODES, below, openable, opened
from flyte_nb.graph.svg import svg


def nested_closure() -> compiler_pb2.CompiledWorkflowClosure:
    """`m.outer` runs `m.middle` twice; that maps `m.score` and runs `m.inner`, one task."""
    closure = compiler_pb2.CompiledWorkflowClosure()
    outer = closure.primary.template
    outer.id.name = "m.outer"
    outer.interface.inputs.variables["x"].type.simple = 1
    for index in range(2):
        node = outer.nodes.add(id=f"n{index}")
        node.workflow_node.sub_workflow_ref.name = "m.middle"
        promise(node, "x", "" if not index else "n0", "x" if not index else "o0")
    middle = closure.sub_workflows.add().template
    middle.id.name = "m.middle"
    middle.interface.inputs.variables["x"].type.simple = 1
    middle.interface.outputs.variables["o0"].type.simple = 1
    many = middle.nodes.add(id="n0")
    many.array_node.node.id = "n0"
    many.array_node.node.task_node.reference_id.name = "m.score"
    promise(many, "x", "", "x")
    last = middle.nodes.add(id="n1")
    last.workflow_node.sub_workflow_ref.name = "m.inner"
    promise(last, "x", "n0", "o0")
    promise(middle.outputs.add(), "o0", "n1", "o0")
    inner = closure.sub_workflows.add().template
    inner.id.name = "m.inner"
    inner.nodes.add(id="n0").task_node.reference_id.name = "m.last"
    return closure


def promise(where: "object", var: str, node_id: str, source: str) -> None:
    binding = where.inputs.add(var=var) if isinstance(where, workflow_pb2.Node) else where
    binding.var = var
    binding.binding.promise.node_id = node_id
    binding.binding.promise.var = source


def ids(graph: Graph) -> "list[str]":
    return [node.id for node in graph.nodes]


def test_nothing_is_open_at_first() -> None:
    graph = graph_of(nested_closure())
    assert opened(graph) is graph
    assert [node.id for node in graph.nodes if node.can_open] == ["n0", "n1"]


def test_an_open_sub_workflow_is_a_frame_around_nodes_with_paths() -> None:
    graph = graph_of(nested_closure())
    drawn = opened(graph, {"n1"})
    assert ids(drawn) == [START_NODE, "n0", "n1/start-node", "n1/n0", "n1/n1", "n1/end-node"]
    (frame,) = drawn.frames
    assert (frame.node.id, frame.node.title, frame.node.kind) == (
        "n1",
        "middle · n1",
        WORKFLOW_NODE,
    )
    assert frame.members == ("n1/start-node", "n1/n0", "n1/n1", "n1/end-node")
    pairs = [(edge.source, edge.target) for edge in drawn.edges]
    assert ("n0", "n1") in pairs
    assert ("n1/start-node", "n1/n0") in pairs
    assert ("n1/n1", "n1/end-node") in pairs


def test_maps_and_sub_workflows_open_at_any_depth() -> None:
    graph = graph_of(nested_closure())
    assert openable(graph, 1) == {"n0", "n1"}
    assert openable(graph) == {f"n{i}{rest}" for i in (0, 1) for rest in ("", "/n0", "/n1")}
    drawn = opened(graph, openable(graph))
    assert {"n0/n0/n0", "n0/n1/n0", "n1/n1/n0"} <= set(ids(drawn))
    kinds = {frame.node.id: frame.node.kind for frame in drawn.frames}
    assert kinds["n0/n0"] == ARRAY_NODE
    assert drawn.node("n0/n1/n0").title == "last"


def test_ids_that_are_unknown_or_inside_a_closed_node_are_ignored() -> None:
    graph = graph_of(nested_closure())
    assert opened(graph, {"n0/n1", "nowhere", "n0/n1/n0"}) == opened(graph, ())
    assert below("n0", {"n0", "n0/n1", "n01", "n1/n0"}) == {"n0/n1"}


def test_a_workflow_that_runs_itself_opens_only_as_far_as_it_is_opened() -> None:
    closure = nested_closure()
    closure.sub_workflows[1].template.nodes.add(
        id="n1"
    ).workflow_node.sub_workflow_ref.name = "m.middle"
    graph = graph_of(closure)
    assert len(ids(opened(graph, openable(graph)))) <= MAX_NODES + 100
    assert "n0/n1/n1/n0" in ids(opened(graph, {"n0", "n0/n1", "n0/n1/n1"}))


def test_a_graph_that_doubles_at_every_level_is_opened_within_bounds() -> None:
    within = {
        str(level): Graph(
            "g",
            tuple(
                GraphNode(f"n{i}", WORKFLOW_NODE, "w", "", "", (), str(level + 1)) for i in range(2)
            ),
            (),
        )
        for level in range(39)
    }
    top = Graph("g", (GraphNode("n", WORKFLOW_NODE, "w", "", "", (), "0"),), (), "", (), within)
    everything = openable(top)
    assert len(everything) <= MAX_NODES
    assert len(opened(top, everything).nodes) <= MAX_NODES


def test_an_opened_graph_cannot_be_opened_again() -> None:
    drawn = opened(graph_of(nested_closure()), {"n0"})
    with pytest.raises(ValueError, match="open nodes already"):
        opened(drawn, {"n1"})


def test_a_group_opens_to_its_members_and_closes_again(dag: "Callable[..., Graph]") -> None:
    graph = dag("chain", 400)
    closed = opened(graph)
    (group,) = closed.nodes
    assert group.id == "n0+"
    drawn = opened(graph, {"n0+"})
    assert ids(drawn) == ids(graph)
    assert set(drawn.edges) == set(graph.edges)
    assert drawn.frames[0].members == group.members
    assert opened(graph, ()) == closed


@given(st.sets(st.sampled_from(sorted(openable(graph_of(nested_closure()))))))
def test_frames_hold_exactly_their_members(open: "set[str]") -> None:
    layout = layered(opened(graph_of(nested_closure()), open))
    check_frames(layout)
    assert svg(layout, live=True).count('data-open="1"') == len(layout.frames)
    assert opened(graph_of(nested_closure()), [*open, *open]) == layout.graph


def check_frames(layout: Layout) -> None:
    """Check that members are inside their frame, everything else is outside, and nothing overlaps."""
    boxes = {p.node.id: p[1:] for p in layout.nodes if not p.node.is_port}
    boxes |= {p.frame.node.id: p[1:] for p in layout.frames}
    inside = {p.frame.node.id: set(p.frame.members) for p in layout.frames}
    for placed in reversed(layout.frames):
        for member in list(inside[placed.frame.node.id]):
            inside[placed.frame.node.id] |= inside.get(member, set())
    for (first, a), (second, b) in itertools.permutations(boxes.items(), 2):
        if second in inside.get(first, ()):
            assert a[0] <= b[0]
            assert a[1] <= b[1]
            assert b[0] + b[2] <= a[0] + a[2] + 0.2
            assert b[1] + b[3] <= a[1] + a[3] + 0.2
        elif first not in inside.get(second, ()):
            apart_x = a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0]
            apart_y = a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]
            assert apart_x or apart_y, (first, second)
    for placed in layout.nodes:
        if placed.node.is_port:
            frame = next(f for f in layout.frames if placed.node.id in f.frame.members)
            middle = placed.x + placed.width / 2
            edge = frame.x if placed.node.id.endswith(START_NODE) else frame.x + frame.width
            assert middle == pytest.approx(edge, abs=0.2)
    assert all(p.x >= 0 and p.x + p.width <= layout.width for p in layout.frames)
    assert not any(
        edge.target == END_NODE for edge in layout.graph.edges if edge.source == END_NODE
    )
    assert all(p.node.kind for p in layout.nodes)


def test_arrows_meet_frames_at_their_ports() -> None:
    layout = layered(opened(graph_of(nested_closure()), {"n0", "n1", "n1/n1"}))
    ports = {p.node.id: p for p in layout.nodes if p.node.is_port}
    into = next(r for r in layout.routes if r.edge.target == "n1")
    port = ports["n1/start-node"]
    assert into.tip[:2] == pytest.approx((port.x + 3, port.y + 3), abs=0.2)
    out = next(r for r in layout.routes if r.edge.source == "n0" and r.edge.target == "n1")
    port = ports["n0/end-node"]
    assert out.path.startswith(f"M{port.x + 3:g} {port.y + 3:g}")


def test_a_node_beside_a_frame_keeps_its_width() -> None:
    inner = Graph(
        "g",
        tuple(GraphNode(f"n{i}", TASK_NODE, "t") for i in range(4)),
        tuple(GraphEdge(f"n{i}", f"n{i + 1}") for i in range(3)),
    )
    nodes = (GraphNode("a", WORKFLOW_NODE, "w", "", "", (), "k"), GraphNode("b", TASK_NODE, "t"))
    layout = layered(opened(Graph("g", nodes, (), "", (), {"k": inner}), {"a"}))
    placed = {p.node.id: p for p in layout.nodes}
    assert placed["b"].width == placed["a/n0"].width
