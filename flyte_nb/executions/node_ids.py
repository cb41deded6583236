"""Find the parent of a node execution from its id.

FlytePropeller joins the parent's id, the parent's attempt and the node's own id by `-`, and hashes a result
of more than 20 characters. A hash cannot be taken apart, so the ids of all known parents are tried.

Source: flytepropeller/pkg/controller/nodes/common/utils.go at v1.16.8 (`api.nodes.unique_node_id`).
"""

from collections.abc import Sequence

from flyte_nb.api.nodes import unique_node_id

_ATTEMPTS_TRIED = 8
"""Attempts of each parent that are tried where the message does not say which it was."""


class ParentFinder:
    """Finds parents, and remembers what it has tried: a dynamic task may make thousands of parents."""

    def __init__(self) -> None:
        # By the node's id in its template and the parent's attempt: how many parents were tried, and the
        # ids that a node has below each of them.
        self._tried: dict[tuple[str, int], tuple[int, dict[str, str]]] = {}

    def parent_of(
        self, node_id: str, spec_node_id: str, parents: Sequence[str], retry_group: str = ""
    ) -> str:
        """Return the id of a node's parent; empty when the node is at the top, or when no parent fits.

        Args:
            node_id: The node's id in the execution, e.g. `n1-0-n0`.
            spec_node_id: The node's id in its template, e.g. `n0`.
            parents: The ids of the nodes that have children. Further ones come at the end.
            retry_group: The attempt at the parent, where the message has it.
        """
        if node_id == spec_node_id:
            return ""
        if node_id.endswith("-" + spec_node_id):
            parent = node_id[: -len(spec_node_id) - 1].rpartition("-")[0]
            if parent:
                return parent
        known = retry_group.isdecimal() and retry_group.isascii()
        for attempt in [int(retry_group)] if known else range(_ATTEMPTS_TRIED):
            found = self._below(spec_node_id, attempt, parents).get(node_id)
            if found is not None:
                return found
        return ""

    def _below(self, spec_node_id: str, attempt: int, parents: Sequence[str]) -> "dict[str, str]":
        """Return the parent of each id that a node may have, for all parents so far."""
        count, ids = self._tried.get((spec_node_id, attempt), (0, {}))
        for parent in parents[count:]:
            ids.setdefault(unique_node_id(parent, attempt, spec_node_id), parent)
        self._tried[spec_node_id, attempt] = (len(parents), ids)
        return ids
