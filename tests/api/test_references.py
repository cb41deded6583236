"""What nodes refer to, of every kind of node: also of kinds that the SDK does not write yet."""

from typing import Any, NamedTuple

import pytest

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.references import references, references_of, with_references
from flyte_nb.api.specs import (
    LaunchPlanNode,
    Node,
    TaskNode,
    TypedInterface,
    WorkflowNode,
    WorkflowTemplate,
)


class Case(NamedTuple):
    condition: Any
    then: Node


class BranchNode(NamedTuple):
    cases: "tuple[Case, ...]"
    otherwise: "Node | None" = None
    error: str = ""


class ArrayNode(NamedTuple):
    node: Node
    parallelism: int = 0


class GateNode(NamedTuple):
    signal: str


def id_of(name, kind="task", version=""):
    return Identifier(kind, "p", "d", name, version)


def task(name):
    return Node(name, TaskNode(id_of(name)))


KINDS = {
    "task": (task("a"), {"a"}),
    "sub-workflow": (Node("n", WorkflowNode(id_of("w", "workflow"))), {"w"}),
    "launch plan": (Node("n", LaunchPlanNode(id_of("l", "launch_plan"))), {"l"}),
    "branch": (Node("n", BranchNode((Case("x > 1", task("a")),), task("b"))), {"a", "b"}),
    "branch that fails": (Node("n", BranchNode((Case("x", task("a")),), None, "no")), {"a"}),
    "branch in a branch": (
        Node("n", BranchNode((Case("x", Node("m", BranchNode((), task("deep")))),), task("b"))),
        {"deep", "b"},
    ),
    "map": (Node("n", ArrayNode(task("a"))), {"a"}),
    "map of a launch plan": (
        Node("n", ArrayNode(Node("m", LaunchPlanNode(id_of("l", "launch_plan"))))),
        {"l"},
    ),
    "gate": (Node("n", GateNode("approve")), set()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_node_says_what_it_needs(kind):
    node, names = KINDS[kind]
    assert {reference.name for reference in references([node])} == names


@pytest.mark.parametrize("kind", KINDS)
def test_versions_are_put_in_wherever_something_is_referred_to(kind):
    node, names = KINDS[kind]
    made = with_references(node, lambda reference: reference._replace(version="v1"))
    assert {(found.name, found.version) for found in references([made])} == {
        (name, "v1") for name in names
    }
    assert with_references(made, lambda reference: reference._replace(version="")) == node


def test_a_failure_node_is_needed_too():
    template = WorkflowTemplate(
        id_of("w", "workflow"),
        TypedInterface({}, {}),
        tuple(node for node, _ in KINDS.values()),
        (),
        failure_node=task("clean_up"),
    )
    names = {reference.name for reference in references_of(template)}
    assert names == set().union(*(names for _, names in KINDS.values())) | {"clean_up"}
