"""Any closure is drawn, in finite time and without an internal exception."""

import xml.etree.ElementTree as ET

from flyteidl.core import compiler_pb2, workflow_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.graph.changes import diff
from flyte_nb.graph.elements import Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.layout import layered
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.opening import openable, opened
from flyte_nb.graph.sources import dot_source, mermaid_source
from flyte_nb.graph.svg import svg
from flyte_nb.graph.text import tree
from flyte_nb.graph.typed import typed

ids = st.sampled_from(
    ["n0", "n1", "n2", "n0~", "n1+", "n0/n1", "start-node", "end-node", "", "\x00☃"]
)
names = st.sampled_from(
    ["m.a", "m.b", "", "m.\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)

seconds = st.sampled_from([0, 3, -90, 10**12, 2**63 - 1, -(2**63)])


@st.composite
def nodes(draw: st.DrawFn, depth: int = 2) -> workflow_pb2.Node:
    node = workflow_pb2.Node(id=draw(ids))
    node.metadata.name = draw(names)
    kind = draw(st.sampled_from(["task", "sub", "plan", "branch", "gate", "array", "none"]))
    if kind == "task":
        node.task_node.reference_id.name = draw(names)
    elif kind == "sub":
        node.workflow_node.sub_workflow_ref.name = draw(names)
    elif kind == "plan":
        node.workflow_node.launchplan_ref.name = draw(names)
    elif kind == "gate":
        node.gate_node.sleep.duration.seconds = draw(seconds)
    elif kind == "branch" and depth:
        block = node.branch_node.if_else
        block.case.then_node.CopyFrom(draw(nodes(depth - 1)))
        value = block.case.condition.comparison.right_value.primitive
        getattr(value, draw(st.sampled_from(["datetime", "duration"]))).seconds = draw(seconds)
        if draw(st.booleans()):
            block.else_node.CopyFrom(draw(nodes(depth - 1)))
    elif kind == "array" and depth:
        node.array_node.node.CopyFrom(draw(nodes(depth - 1)))
    for source in draw(st.lists(ids, max_size=3)):
        binding = node.inputs.add(var=draw(st.sampled_from(["x", "y", ""])))
        binding.binding.promise.node_id, binding.binding.promise.var = source, "o0"
    node.upstream_node_ids.extend(draw(st.lists(ids, max_size=2)))
    return node


@st.composite
def closures(draw: st.DrawFn) -> compiler_pb2.CompiledWorkflowClosure:
    closure = compiler_pb2.CompiledWorkflowClosure()
    templates = [closure.primary.template]
    templates += [closure.sub_workflows.add().template for _ in range(draw(st.integers(0, 2)))]
    for template in templates:
        template.id.name = draw(names)
        template.nodes.extend(draw(st.lists(nodes(), max_size=5)))
        if draw(st.booleans()):
            template.interface.inputs.variables["x"].SetInParent()
            template.interface.outputs.variables["o"].type.simple = 1
        for source in draw(st.lists(ids, max_size=2)):
            template.outputs.add(var="o").binding.promise.node_id = source
        if draw(st.booleans()):
            template.failure_node.CopyFrom(draw(nodes()))
    return closure


def drawn(graph: Graph) -> None:
    """Draw the graph in every form."""
    layout = layered(typed(graph))
    ET.fromstring(svg(layout, live=True))
    figure(graph)
    assert tree(graph).startswith(graph.title)
    assert mermaid_source(graph).startswith("flowchart")
    assert dot_source(graph).startswith("digraph")


@given(closures())
@settings(max_examples=60, deadline=None)
def test_any_closure_is_drawn_closed_and_open(
    closure: compiler_pb2.CompiledWorkflowClosure,
) -> None:
    graph = graph_of(closure)
    drawn(opened(graph))
    some = frozenset(sorted(openable(graph, 6))[:12])
    drawn(opened(graph, some))
    assert opened(graph, some) == opened(graph, sorted(some, reverse=True))


@given(closures(), closures())
@settings(max_examples=40, deadline=None)
def test_any_two_closures_can_be_compared(
    old: compiler_pb2.CompiledWorkflowClosure, new: compiler_pb2.CompiledWorkflowClosure
) -> None:
    drawn(opened(diff(old, new)))
