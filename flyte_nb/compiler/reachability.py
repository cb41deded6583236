"""Check that every node starts at some time: find cycles, and nodes that cannot be reached.

Source: flytepropeller/pkg/compiler/utils.go `detectCycle` at v1.16.8. Flyte recurses; this walk
keeps its own stack, visits each node once, and takes neighbours in the order of their ids.
"""

from collections.abc import Iterable, Iterator, Mapping

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.builder import CheckedNode
from flyte_nb.compiler.collector import Collector

Edges = Mapping[str, "list[str]"]
"""The ids of each node's neighbours, sorted, by the node's id."""


def check_reachable(
    nodes: "Mapping[str, CheckedNode]", downstream: Edges, errors: Collector
) -> None:
    """Report a cycle that the start node leads into, or else the nodes that cannot be reached from it."""
    visited: set[str] = set()
    path = find_cycle(START_NODE, downstream, visited)
    if path:
        errors.add(shape_problems.cycle(path))
        return
    # The end node is left out: when it cannot be reached, some other node cannot either.
    lost = sorted(set(nodes) - visited - {END_NODE})
    if lost:
        broken = [node for node in lost if nodes[node].interface is None]
        errors.add(shape_problems.unreachable(lost, _ring_among(lost, downstream), broken))


def find_cycle(start: str, downstream: Edges, visited: "set[str]") -> "list[str]":
    """Return the path from `start` to the first node that is met twice, or an empty list.

    Args:
        start: where the walk begins.
        downstream: the edges.
        visited: collects every node that the walk has seen; nodes in it are not walked again.

    Returns:
        Ids from `start` on; the last one is the node that already stands earlier in the path.
    """
    # `path` is the stack of the walk, and `pending` has the neighbours that are left for each of
    # its nodes. A neighbour that is on the path closes a cycle; one that is only visited was walked
    # before.
    path = [start]
    on_path = {start}
    visited.add(start)
    pending: list[Iterator[str]] = [iter(downstream.get(start, ()))]
    while pending:
        following = next(pending[-1], None)
        if following is None:
            pending.pop()
            on_path.discard(path.pop())
        elif following in on_path:
            return [*path, following]
        elif following not in visited:
            visited.add(following)
            on_path.add(following)
            path.append(following)
            pending.append(iter(downstream.get(following, ())))
    return []


def _ring_among(nodes: "Iterable[str]", downstream: Edges) -> "list[str]":
    """Return the first cycle that runs through these nodes, its first id repeated at the end, or nothing."""
    visited: set[str] = set()
    for node in nodes:
        path = find_cycle(node, downstream, visited) if node not in visited else []
        if path:
            return path[path.index(path[-1]) :]
    return []
