"""Ids of nodes that a client chose: each is the name of a folder, and no two of them may share one.

FlyteAdmin takes any text; an object store does too, and Kubernetes makes labels of it. On a disk
`../../x` leads out of the execution's folder.
"""

from collections.abc import Iterable, Iterator

from flyteidl.core import compiler_pb2, workflow_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import MAX_NODE_ID, is_node_id
from flyte_nb.api.problems import Problem

_MAX_PROBLEMS = 20


def check_node_ids(closure: compiler_pb2.CompiledWorkflowClosure) -> None:
    """Check the ids of every node that the closure has, also inside of branches and maps.

    Raises:
        CompileFailed: with every id that cannot be a folder's name, and those that differ in
            capitals only, which some disks do not tell apart.
    """
    problems: list[Problem] = []
    for compiled in (closure.primary, *closure.sub_workflows):
        template = compiled.template
        seen: dict[str, str] = {}
        nodes = [*template.nodes]
        if template.HasField("failure_node"):
            nodes.append(template.failure_node)
        for node_id in _ids(nodes):
            if not is_node_id(node_id):
                problems.append(_impossible(template.id.name, node_id))
            elif seen.setdefault(node_id.lower(), node_id) != node_id:
                problems.append(_alike(template.id.name, node_id, seen[node_id.lower()]))
    if problems:
        raise CompileFailed(
            "The ids of some nodes cannot be used.", tuple(problems[:_MAX_PROBLEMS])
        )


def _ids(nodes: "Iterable[workflow_pb2.Node]") -> Iterator[str]:
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node.id
        kind = node.WhichOneof("target")
        if kind == "branch_node":
            block = node.branch_node.if_else
            pending.extend(case.then_node for case in (block.case, *block.other))
            if block.WhichOneof("default") == "else_node":
                pending.append(block.else_node)
        elif kind == "array_node":
            pending.append(node.array_node.node)


def _impossible(entity: str, node_id: str) -> Problem:
    return Problem(
        "InvalidNodeId",
        f"A node has the id {node_id[:MAX_NODE_ID]!r}.",
        node_id[:MAX_NODE_ID],
        hint="Write letters (a to z), digits, - and _, beginning with a letter or digit, at most"
        f" {MAX_NODE_ID} of them: the id is the name of a folder.",
        entity=entity[:MAX_NODE_ID],
    )


def _alike(entity: str, node_id: str, other: str) -> Problem:
    return Problem(
        "InvalidNodeId",
        f"The ids {other} and {node_id} differ in capitals only.",
        node_id,
        hint="Give one of them another id: some disks do not tell capitals apart.",
        entity=entity[:MAX_NODE_ID],
    )
