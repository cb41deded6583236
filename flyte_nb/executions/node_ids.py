"""Find the parent of a node execution from its id.

FlytePropeller joins the parent's id, the parent's attempt and the node's own id by `-`, and hashes a result
of more than 20 characters. A hash cannot be taken apart, so the ids of all known parents are tried.

Source: flytepropeller/pkg/controller/nodes/common/utils.go at v1.16.8 (`api.nodes.unique_node_id`).
"""

from collections.abc import Iterable

from flyte_nb.api.nodes import unique_node_id

_ATTEMPTS_TRIED = 8
"""Attempts of each parent that are tried. A node that has children is rarely tried so often."""


def parent_of(node_id: str, spec_node_id: str, parents: "Iterable[str]") -> str:
    """Return the id of a node's parent; empty when the node is at the top, or when no parent fits.

    Args:
        node_id: The node's id in the execution, e.g. `n1-0-n0`.
        spec_node_id: The node's id in its template, e.g. `n0`.
        parents: The ids of the nodes that have children.
    """
    if node_id == spec_node_id:
        return ""
    if node_id.endswith("-" + spec_node_id):
        parent = node_id[: -len(spec_node_id) - 1].rpartition("-")[0]
        if parent:
            return parent
    for parent in parents:
        for attempt in range(_ATTEMPTS_TRIED):
            if unique_node_id(parent, attempt, spec_node_id) == node_id:
                return parent
    return ""
