"""Node ids that a run makes up for nodes inside of others, and that an author gave another node.

At run time a node `n0` inside of the node `n1` is called `n1-0-n0` (the number is the attempt at `n1`), and
the element 3 of a map `n1` is `n1-n3`. Flyte keeps one row for each id: two nodes of one id wait for
each other for ever.
"""

import re
from collections.abc import Mapping

from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.builder import CheckedNode
from flyte_nb.compiler.collector import Collector
from flyte_nb.compiler.program import key
from flyte_nb.compiler.requirements import ReadWorkflow

_ATTEMPT = re.compile(r"-[0-9]{1,9}-")
_ELEMENT = re.compile(r"n[0-9]+")
_MAX_DEPTH = 50


def check_inner_ids(
    reading: ReadWorkflow, workflows: "Mapping[bytes, ReadWorkflow]", errors: Collector
) -> None:
    """Report each node whose id is made up for a node inside of one beside it."""
    suspects = [node for node in reading.nodes if "-" in node.id]
    if not suspects:
        return  # nearly always: an SDK counts n0, n1, …
    beside = {node.id: node for node in reading.nodes}
    for node in suspects:
        outer = _outer(node.id, beside, workflows)
        if outer:
            errors.add(shape_problems.inner_id(node.id, outer))


def _outer(
    node_id: str, beside: "Mapping[str, CheckedNode]", workflows: "Mapping[bytes, ReadWorkflow]"
) -> str:
    """Return the id of the node inside of which `node_id` is made up; empty when there is none."""
    for end in _dashes(node_id):
        parent, rest = beside.get(node_id[:end]), node_id[end + 1 :]
        if parent is None:
            continue
        if parent.kind == "array_node" and _ELEMENT.fullmatch(rest):
            return parent.id
        if parent.kind == "branch_node" and rest in _arms(parent):
            return parent.id
        if parent.kind == "workflow_node" and _is_inside(node_id[end:], parent, workflows):
            return parent.id
    return ""


def _is_inside(rest: str, parent: CheckedNode, workflows: "Mapping[bytes, ReadWorkflow]") -> bool:
    """Return whether `-<attempt>-<id>` follows on the id of `parent` for some node below it."""
    for _ in range(_MAX_DEPTH):
        match = _ATTEMPT.match(rest)
        reference = parent.message.workflow_node.sub_workflow_ref
        inner = workflows.get(key(reference)) if match else None
        if match is None or inner is None:
            return False
        below = rest[match.end() :]
        nodes = {node.id: node for node in inner.nodes}
        if below in nodes:
            return True
        heads = [end for end in _dashes(below) if _ATTEMPT.match(below, end)]
        parents = [nodes[below[:end]] for end in heads if below[:end] in nodes]
        if not parents or parents[0].kind != "workflow_node":
            return False
        parent = parents[0]
        rest = below[len(parent.id) :]
    return False


def _arms(branch: CheckedNode) -> "set[str]":
    block = branch.message.branch_node.if_else
    arms = {case.then_node.id for case in (block.case, *block.other)}
    if block.WhichOneof("default") == "else_node":
        arms.add(block.else_node.id)
    return arms


def _dashes(text: str) -> "list[int]":
    """Return the places of the first dashes: an id is no longer than some thousand characters."""
    return [place for place, letter in enumerate(text[:_MAX_SCAN]) if letter == "-"]


_MAX_SCAN = 300
