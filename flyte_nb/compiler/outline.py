"""Read the names and kinds of all nodes off a compiled workflow.

A `NodeExecution` carries only the node's id in the template; everything else is in the closure.
This module is what a view of a run uses to say what its nodes are called.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

from flyte_nb.api.nodes import (
    ADDED_NODES,
    ARRAY_NODE,
    BRANCH_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.compiler.program import key

_KINDS = {
    "task_node": TASK_NODE,
    "workflow_node": WORKFLOW_NODE,
    "branch_node": BRANCH_NODE,
    "gate_node": GATE_NODE,
    "array_node": ARRAY_NODE,
}


_MAX_DEPTH = 64
"""Levels of sub-workflows that are read."""


class NodeOutline(NamedTuple):
    """The name and the kind of one node, as the author sees it."""

    name: str
    kind: str
    """One of the kinds of nodes in `api/nodes.py`, e.g. `TASK_NODE`."""


class Outline:
    """The names and kinds of all nodes of a workflow, by the path of ids that leads to each."""

    def __init__(self, closure: "CompiledWorkflowClosure | None" = None) -> None:
        self._nodes: dict[tuple[str, ...], NodeOutline] = {}
        if closure is None:
            return
        subs = {key(sub.template.id): sub.template for sub in closure.sub_workflows}
        self._add(closure.primary.template, subs, ())

    @property
    def total(self) -> int:
        """Return how many nodes the template has, sub-workflows included, start and end nodes excluded."""
        return len(self._nodes)

    def grow(self, path: "tuple[str, ...]", closure: CompiledWorkflowClosure) -> None:
        """Add the nodes of a workflow that came into being below the node at `path`, while it ran."""
        subs = {key(sub.template.id): sub.template for sub in closure.sub_workflows}
        self._add(closure.primary.template, subs, self._beside_branches(path))

    def of(self, path: "tuple[str, ...]") -> NodeOutline:
        """Return the node at a path of ids in the templates, outermost first, e.g. `("n0", "n1")`."""
        # Nodes that a dynamic task adds while it runs are not in the closure; see `grow`.
        known = self._nodes.get(self._beside_branches(path))
        return known if known is not None else NodeOutline(path[-1], TASK_NODE)

    def _beside_branches(self, path: "tuple[str, ...]") -> "tuple[str, ...]":
        """Return the path without branches on the way: FlyteAdmin has a node that a branch took below it."""
        kept: tuple[str, ...] = ()
        for node_id in path[:-1]:
            known = self._nodes.get((*kept, node_id))
            if known is None or known.kind != BRANCH_NODE:
                kept = (*kept, node_id)
        return (*kept, *path[-1:])

    def _add(
        self,
        template: WorkflowTemplate,
        subs: "dict[bytes, WorkflowTemplate]",
        above: "tuple[str, ...]",
    ) -> None:
        """Add the nodes of a template, and those of its sub-workflows below their path."""
        for node in flat(template.nodes):
            # The compiler added these two; an author does not count them.
            if node.id in ADDED_NODES:
                continue
            path = (*above, node.id)
            self._nodes[path] = NodeOutline(_name_of(node), kind_of(node))
            if node.workflow_node.HasField("sub_workflow_ref"):
                sub = subs.get(key(node.workflow_node.sub_workflow_ref))
                # Another client's closure may contain itself, so the depth is limited.
                if sub is not None and len(path) < _MAX_DEPTH:
                    self._add(sub, subs, path)


def _name_of(node: Node) -> str:
    """Return what the author calls the node. One that a branch runs has no name, so it has its task's."""
    if node.metadata.name:
        return node.metadata.name
    workflow = node.workflow_node
    references = (node.task_node.reference_id, workflow.sub_workflow_ref, workflow.launchplan_ref)
    named = (reference.name.rpartition(".")[2] for reference in references)
    return next(filter(None, named), node.id)


def kind_of(node: Node) -> str:
    """Return the node's kind, one of those in `api/nodes.py`."""
    target = node.WhichOneof("target") or ""
    if target == "workflow_node" and node.workflow_node.HasField("launchplan_ref"):
        return LAUNCH_PLAN_NODE
    return _KINDS.get(target, TASK_NODE)


def flat(nodes: "Iterable[Node]") -> "Iterator[Node]":
    """Yield these nodes, each followed by the nodes inside it when it is a branch."""
    for node in nodes:
        yield node
        if node.HasField("branch_node"):
            arms = node.branch_node.if_else
            inner = [arms.case.then_node, *(other.then_node for other in arms.other)]
            if arms.HasField("else_node"):
                inner.append(arms.else_node)
            yield from flat(inner)
