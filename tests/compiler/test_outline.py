"""Names and kinds of nodes, by the path that a run's records lead to."""

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.workflow_pb2 import Node

from flyte_nb.api.nodes import BRANCH_NODE, TASK_NODE
from flyte_nb.compiler.outline import NodeOutline, Outline


def _task(node_id: str, name: str) -> Node:
    node = Node(id=node_id)
    node.task_node.reference_id.name = f"nb.{name}"
    return node


def _branching(node_id: str, *arms: Node) -> Node:
    node = Node(id=node_id)
    node.metadata.name = "size"
    node.branch_node.if_else.case.then_node.CopyFrom(arms[0])
    node.branch_node.if_else.else_node.CopyFrom(arms[1])
    return node


def test_a_node_that_a_branch_took_has_its_name_beside_the_branch_and_below_it():
    inner = _branching("n1-n1", _task("n1-n1-n0", "small"), _task("n1-n1-n1", "large"))
    closure = CompiledWorkflowClosure()
    closure.primary.template.nodes.extend(
        [_task("n0", "load"), _branching("n1", _task("n1-n0", "none"), inner)]
    )
    outline = Outline(closure)
    assert outline.total == 6
    assert outline.of(("n1",)) == NodeOutline("size", BRANCH_NODE)
    # FlyteAdmin has the chosen node below the branch, other engines have it beside.
    for above in [(), ("n1",)]:
        assert outline.of((*above, "n1-n0")) == NodeOutline("none", TASK_NODE)
    assert outline.of(("n1", "n1-n1", "n1-n1-n1")) == NodeOutline("large", TASK_NODE)
