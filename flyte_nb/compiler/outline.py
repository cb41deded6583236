"""What a run's nodes are called and what kind they are: read off the compiled workflow, once.

A `NodeExecution` names only its node's id in the template; the rest is in the closure.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

from flyte_nb.api.nodes import ADDED_NODES

_KINDS = {
    "task_node": "task",
    "workflow_node": "workflow",
    "branch_node": "branch",
    "gate_node": "gate",
    "array_node": "array",
}


class NodeOutline(NamedTuple):
    """One node as the author sees it."""

    name: str
    kind: str
    """`task`, `workflow`, `launch_plan`, `branch`, `gate` or `array`."""


class Outline:
    """Names and kinds of every node of a workflow, by the way that leads to it."""

    def __init__(self, closure: "CompiledWorkflowClosure | None" = None) -> None:
        self._nodes: dict[tuple[str, ...], NodeOutline] = {}
        if closure is None:
            return
        subs = {_key(sub.template.id): sub.template for sub in closure.sub_workflows}
        self._add(closure.primary.template, subs, ())

    @property
    def total(self) -> int:
        """How many nodes a run has, as far as the template tells; start and end not counted."""
        return len(self._nodes)

    def of(self, path: "tuple[str, ...]") -> NodeOutline:
        """The node at `path`: ids in the template, outermost first, e.g. `("n0", "n1")`."""
        known = self._nodes.get(path)
        return known if known is not None else NodeOutline(path[-1], "task")

    def _add(
        self,
        template: WorkflowTemplate,
        subs: "dict[bytes, WorkflowTemplate]",
        above: "tuple[str, ...]",
    ) -> None:
        for node in flat(template.nodes):
            if node.id in ADDED_NODES:
                continue
            path = (*above, node.id)
            self._nodes[path] = NodeOutline(node.metadata.name or node.id, kind_of(node))
            if node.workflow_node.HasField("sub_workflow_ref"):
                sub = subs.get(_key(node.workflow_node.sub_workflow_ref))
                if sub is not None and len(path) < 64:  # a closure from outside may be cyclic
                    self._add(sub, subs, path)


def kind_of(node: Node) -> str:
    """The node's kind in one word."""
    target = node.WhichOneof("target") or ""
    if target == "workflow_node" and node.workflow_node.HasField("launchplan_ref"):
        return "launch_plan"
    return _KINDS.get(target, "task")


def flat(nodes: "Iterable[Node]") -> "Iterator[Node]":
    """The nodes and those inside of branches."""
    for node in nodes:
        yield node
        if node.HasField("branch_node"):
            arms = node.branch_node.if_else
            inner = [arms.case.then_node, *(other.then_node for other in arms.other)]
            if arms.HasField("else_node"):
                inner.append(arms.else_node)
            yield from flat(inner)


def _key(identifier: Identifier) -> bytes:
    return identifier.SerializeToString(deterministic=True)
