"""Which node execution is whose child, told from its id.

FlytePropeller joins the parent's id, the parent's attempt and the node's id by `-`, and hashes what is
longer than 20 characters; so the parent is found by trying those that are known.
"""

from collections.abc import Iterable

from flyte_nb.api.nodes import unique_node_id

_ATTEMPTS_TRIED = 8


def parent_of(node_id: str, spec_node_id: str, parents: "Iterable[str]") -> str:
    """The id of the parent among `parents`, or `""` when the node is at the top."""
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
