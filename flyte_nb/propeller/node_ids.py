"""Check the ids of nodes, which clients choose. Each names a folder, and no two may share one.

FlyteAdmin accepts any text: its object store does too, and Kubernetes only makes labels of it. On a
disk, `../../x` leads out of the execution's folder.
"""

from collections.abc import Iterable, Iterator

from flyteidl.core import compiler_pb2, workflow_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import MAX_NODE_ID, is_node_id
from flyte_nb.api.problems import Problem

_MAX_PROBLEMS = 20


def check_node_ids(closure: compiler_pb2.CompiledWorkflowClosure) -> None:
    """Raise unless every node of the closure has an id that can name a folder, inside branches too.

    Raises:
        CompileFailed: with every id that cannot name a folder, and with ids that differ only in case,
            because some disks ignore case.
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
    """Yield the ids of the nodes, and of those inside of branches."""
    # A list in place of recursion: branches may be nested deeper than Python's stack allows.
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
        # The node that a map runs is not among them: its elements are called n0, n1, … at run time.


def _impossible(entity: str, node_id: str) -> Problem:
    return Problem(
        "InvalidNodeId",
        f"A node has the id {node_id[:MAX_NODE_ID]!r}.",
        node_id[:MAX_NODE_ID],
        hint="Use letters (a to z), digits, - and _, beginning with a letter or digit, at most"
        f" {MAX_NODE_ID} of them: the id is the name of a folder.",
        entity=entity[:MAX_NODE_ID],
    )


def _alike(entity: str, node_id: str, other: str) -> Problem:
    return Problem(
        "InvalidNodeId",
        f"The ids {other} and {node_id} differ only in upper and lower case.",
        node_id,
        hint="Give one of them another id: some disks ignore case.",
        entity=entity[:MAX_NODE_ID],
    )
