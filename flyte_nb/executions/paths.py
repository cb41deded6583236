"""Find the place of each node of a run in the graph of its workflow, and its phase there.

`graph` knows nothing of executions: it identifies a node by the path of ids that leads to it.
"""

from collections.abc import Iterable

from flyte_nb.api.nodes import BRANCH_NODE
from flyte_nb.executions.views import NodeView
from flyte_nb.graph.palette import display_phase


def phases_of(nodes: "Iterable[NodeView]") -> "dict[str, str]":
    """Return the phase of every node of a run as the graph shows it, by the node's path in the graph."""
    nodes = list(nodes)
    paths = paths_of(nodes)
    return {paths[node.node_id]: display_phase(node.phase, node.cache_status) for node in nodes}


def paths_of(nodes: "Iterable[NodeView]") -> "dict[str, str]":
    """Return the path of each node in the graph, by the node's id in the execution.

    A node that a branch runs is on the branch's own level of the graph. A node inside any other node is one
    level deeper.
    """
    by_id = {node.node_id: node for node in nodes}
    paths = {}
    for node in by_id.values():
        steps = [node.spec_node_id]
        # Messages of another client may name parents in a circle.
        parent, seen = by_id.get(node.parent_id), {node.node_id}
        while parent is not None and parent.node_id not in seen:
            seen.add(parent.node_id)
            if parent.kind != BRANCH_NODE:
                steps.append(parent.spec_node_id)
            parent = by_id.get(parent.parent_id)
        paths[node.node_id] = "/".join(reversed(steps))
    return paths
