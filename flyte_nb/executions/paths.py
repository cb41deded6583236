"""Where the nodes of a run stand in its workflow's graph, and in which phase they are."""

from collections.abc import Iterable

from flyte_nb.executions.views import NodeView
from flyte_nb.graph.palette import display_phase


def phases_of(nodes: "Iterable[NodeView]") -> "dict[str, str]":
    """The phase of every node of a run, by its path in the graph (see `graph.values`)."""
    nodes = list(nodes)
    paths = paths_of(nodes)
    return {paths[node.node_id]: display_phase(node.phase, node.cache_status) for node in nodes}


def paths_of(nodes: "Iterable[NodeView]") -> "dict[str, str]":
    """Where each node of a run stands in the graph: its path there, by its id in the execution.

    What runs inside of a branch belongs to the branch's own level; what runs inside of anything else
    lies one step deeper.
    """
    by_id = {node.node_id: node for node in nodes}
    paths = {}
    for node in by_id.values():
        steps = [node.spec_node_id]
        parent, seen = by_id.get(node.parent_id), {node.node_id}
        while parent is not None and parent.node_id not in seen:
            seen.add(parent.node_id)
            if parent.kind != "branch":
                steps.append(parent.spec_node_id)
            parent = by_id.get(parent.parent_id)
        paths[node.node_id] = "/".join(reversed(steps))
    return paths
