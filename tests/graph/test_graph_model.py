"""Graphs are read correctly, from compiled closures and from templates as they were written."""

import json
from pathlib import Path

import pytest
from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2
from google.protobuf import duration_pb2, json_format

from flyte_nb.api import literals as lit
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.literal_types import INTEGER, simple
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingMap,
    LaunchPlanNode,
    Node,
    NodeMetadata,
    OutputReference,
    TaskNode,
    TypedInterface,
    Variable,
    WorkflowNode,
    WorkflowTemplate,
)
from flyte_nb.graph.conditions import duration_text, primitive_text
from flyte_nb.graph.elements import Graph
from flyte_nb.graph.layout import layered
from flyte_nb.graph.model import graph_of, graph_of_template
from flyte_nb.graph.svg import svg


def closure(path: Path) -> compiler_pb2.CompiledWorkflowClosure:
    message = compiler_pb2.CompiledWorkflowClosure()
    json_format.ParseDict(json.loads(path.read_text()), message, ignore_unknown_fields=True)
    return message


def arrows(graph: Graph) -> "list[tuple[str, str, str]]":
    return [(edge.source, edge.target, edge.label or edge.kind) for edge in graph.edges]


# --- compiled ---------------------------------------------------------------------------------------


def test_every_compiled_vector_can_be_drawn(vectors: Path) -> None:
    paths = [
        *vectors.glob("branch/compiled/*.json"),
        *vectors.glob("snacks-core/compiled/*_wf.json"),
    ]
    assert len(paths) > 30
    for path in paths:
        message = closure(path)
        graph = graph_of(message)
        drawn = {node.id for node in graph.nodes}
        assert {node.id for node in message.primary.template.nodes} - drawn <= {
            START_NODE,
            END_NODE,
        }
        assert svg(layered(graph)).endswith("</svg>")


def test_a_branch_shows_its_cases_with_their_conditions(vectors: Path) -> None:
    graph = graph_of(closure(vectors / "branch/compiled/success_8_nested.json"))
    titles = {node.id: node.title for node in graph.nodes}
    assert titles[START_NODE] == "inputs"
    assert titles["n0"] == "fractions"
    assert ("n0", "n0-n0", "my_input > 0.1 and my_input < 1") in arrows(graph)
    assert ("n0-n0", "n0-n0-n0", "my_input < 0.5") in arrows(graph)
    inner = next(node for node in graph.nodes if node.id == "n0-n0")
    assert inner.subtitle == "else fails"
    # What a branch gives comes out of its cases.
    assert ("n0-n0-n0", END_NODE, "data") in arrows(graph)
    assert ("n0", END_NODE, "data") not in arrows(graph)


def test_sub_workflows_and_launch_plans_have_kinds_of_their_own() -> None:
    compiled = compiler_pb2.CompiledWorkflow()
    inner, launched = compiled.template.nodes.add(id="n0"), compiled.template.nodes.add(id="n1")
    inner.workflow_node.sub_workflow_ref.name = "m.inner"
    launched.workflow_node.launchplan_ref.name = "m.launched"
    graph = graph_of(compiler_pb2.CompiledWorkflowClosure(primary=compiled))
    assert [(node.kind, node.title, node.subtitle) for node in graph.nodes] == [
        ("workflow", "inner", "sub-workflow"),
        ("launch_plan", "launched", "launch plan"),
    ]


def test_gates_arrays_and_failure_nodes_say_what_they_do() -> None:
    template = workflow_pb2.WorkflowTemplate()
    template.id.name = "m.wf"
    approve = template.nodes.add(id="n0")
    approve.metadata.name = "review"
    approve.gate_node.approve.signal_id = "x"
    nap = template.nodes.add(id="n1")
    nap.gate_node.sleep.duration.seconds = 30
    ask = template.nodes.add(id="n2")
    ask.gate_node.signal.output_variable_name = "limit"
    many = template.nodes.add(id="n3", upstream_node_ids=["n0", START_NODE])
    many.array_node.parallelism = 4
    many.array_node.min_success_ratio = 0.9
    many.array_node.node.task_node.reference_id.name = "m.score"
    template.failure_node.id = "fn"
    template.failure_node.task_node.reference_id.name = "m.notify"
    graph = graph_of(compiler_pb2.CompiledWorkflow(template=template))
    said = {node.id: (node.kind, node.title, node.subtitle) for node in graph.nodes}
    assert said == {
        "n0": ("gate", "review", "waits for approval"),
        "n1": ("gate", "n1", "sleeps 30 s"),
        "n2": ("gate", "n2", "waits for limit"),
        "n3": ("array", "score", "map · 4 at a time · ≥ 90% must succeed"),
        "fn": ("task", "notify", "runs on failure"),
    }
    assert arrows(graph) == [("n0", "n3", "order")]


def test_endlessly_nested_branches_are_cut() -> None:
    compiled = compiler_pb2.CompiledWorkflow()
    node = compiled.template.nodes.add(id="n0")
    for level in range(60):
        node = node.branch_node.if_else.case.then_node
        node.id = f"n{level + 1}"
    node.task_node.reference_id.name = "m.t"
    assert 50 <= len(graph_of(compiled).nodes) <= 61


# --- as written -------------------------------------------------------------------------------------


def task(name: str) -> TaskNode:
    return TaskNode(Identifier("task", "p", "d", f"nb.{name}"))


def template(*nodes: Node, outputs: "tuple[Binding, ...]" = (), **inputs: str) -> WorkflowTemplate:
    variable = Variable(simple(INTEGER))
    interface = TypedInterface(
        dict.fromkeys(inputs, variable), {binding.var: variable for binding in outputs}
    )
    return WorkflowTemplate(
        Identifier("workflow", "p", "d", "nb.pipeline"), interface, nodes, outputs
    )


def integer(value: int) -> lit.Literal:
    return lit.Literal(lit.INTEGER, value)


def test_promises_at_any_depth_become_arrows() -> None:
    deep = BindingCollection((BindingMap({"a": OutputReference("n0", "o0")}), integer(1)))
    graph = graph_of_template(
        template(
            Node("n0", task("load"), (Binding("url", OutputReference("", "url")),)),
            Node("n1", task("fit"), (Binding("rows", deep),)),
            outputs=(Binding("o0", OutputReference("n1", "o0")),),
            url="str",
        )
    )
    assert graph.title == "pipeline"
    assert [node.title for node in graph.nodes] == ["inputs", "load", "fit", "outputs"]
    assert arrows(graph) == [
        (START_NODE, "n0", "data"),
        ("n0", "n1", "data"),
        ("n1", END_NODE, "data"),
    ]
    assert graph.edges[1].variables == (("o0", "rows"),)


def test_a_workflow_without_inputs_and_outputs_shows_neither() -> None:
    graph = graph_of_template(template(Node("n0", task("run"))))
    assert [node.id for node in graph.nodes] == ["n0"]


def test_calls_of_one_task_are_distinguished_by_an_argument() -> None:
    graph = graph_of_template(
        template(
            *(
                Node(
                    f"n{i}",
                    task("train"),
                    (Binding("seed", integer(7)), Binding("depth", integer(d))),
                )
                for i, d in enumerate((3, 5, 8))
            )
        )
    )
    assert [node.title for node in graph.nodes] == ["train · 3", "train · 5", "train · 8"]


def test_calls_with_equal_arguments_are_distinguished_by_their_ids() -> None:
    graph = graph_of_template(
        template(*(Node(f"n{i}", task("train"), (Binding("depth", integer(3)),)) for i in range(2)))
    )
    assert [node.title for node in graph.nodes] == ["train · n0", "train · n1"]


def test_names_given_by_the_author_win() -> None:
    node = Node("n0", task("train"), metadata=NodeMetadata(name="big"))
    assert graph_of_template(template(node)).nodes[0].title == "big"
    assert graph_of_template(template(node), {"n0": "bigger"}).nodes[0].title == "bigger"


def test_sub_workflows_and_launch_plans_are_named_so() -> None:
    identifier = Identifier("workflow", "p", "d", "nb.inner")
    graph = graph_of_template(
        template(Node("n0", WorkflowNode(identifier)), Node("n1", LaunchPlanNode(identifier)))
    )
    assert [(node.kind, node.subtitle) for node in graph.nodes] == [
        ("workflow", "sub-workflow"),
        ("launch_plan", "launch plan"),
    ]


def test_order_without_data_is_an_arrow_of_its_own_kind() -> None:
    first = Node("n0", task("a"))
    after = Node("n1", task("b"), upstream_node_ids=("n0",))
    assert arrows(graph_of_template(template(first, after))) == [("n0", "n1", "order")]
    both = after._replace(bindings=(Binding("x", OutputReference("n0", "o0")),))
    assert arrows(graph_of_template(template(first, both))) == [("n0", "n1", "data")]


@pytest.mark.parametrize("ids", [("n0", "n0"), ("missing", "n1"), ("n1", "n0")])
def test_an_invalid_workflow_is_drawn_anyway(ids: "tuple[str, str]") -> None:
    """Arrows lead from a node to itself, to unknown nodes and in cycles."""
    graph = graph_of_template(
        template(
            Node("n0", task("a"), (Binding("x", OutputReference(ids[0], "o0")),)),
            Node("n1", task("b"), (Binding("x", OutputReference(ids[1], "o0")),)),
        )
    )
    assert svg(layered(graph)).count('id="node-') == 2


@pytest.mark.parametrize(
    ("seconds", "nanos", "said"),
    [
        (0, 0, "0 s"),
        (0, 500_000_000, "500 ms"),
        (1, 500_000_000, "1.5 s"),
        (90, 0, "1 min 30 s"),
        (5400, 0, "1 h 30 min"),
        (172_800, 0, "2 d"),
        (-90, 0, "-1 min 30 s"),
        (2**63 - 1, 0, "106,751,991,167,300 d 15 h"),
    ],
)
def test_durations_are_written_as_a_person_writes_them(seconds: int, nanos: int, said: str) -> None:
    assert duration_text(duration_pb2.Duration(seconds=seconds, nanos=nanos)) == said


def test_a_time_outside_the_calendar_is_written_in_seconds() -> None:
    primitive = literals_pb2.Primitive()
    primitive.datetime.seconds = 2**62
    assert primitive_text(primitive) == f"{2**62} s after 1970"
