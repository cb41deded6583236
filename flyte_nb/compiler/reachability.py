"""Does every node start some time? Cycles, and nodes that no way leads to.

Source: flytepropeller/pkg/compiler/utils.go `detectCycle` at v1.16.8; here without recursion, each
node once, neighbours in order of their ids.
"""

from collections.abc import Iterable, Iterator, Mapping

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import reports
from flyte_nb.compiler.building import NodeState
from flyte_nb.compiler.problems import Collector

Edges = Mapping[str, "list[str]"]
"""Ids by id, each list sorted."""


def check_reachable(nodes: "Mapping[str, NodeState]", downstream: Edges, errors: Collector) -> None:
    """Report a cycle that the start leads into, or else the nodes that it does not lead to."""
    visited: set[str] = set()
    path = find_cycle(START_NODE, downstream, visited)
    if path:
        errors.add(reports.cycle(path))
        return
    lost = sorted(set(nodes) - visited - {END_NODE})
    if lost:
        broken = [node for node in lost if nodes[node].interface is None]
        errors.add(reports.unreachable(lost, _ring_among(lost, downstream), broken))


def find_cycle(start: str, downstream: Edges, visited: "set[str]") -> "list[str]":
    """The way from `start` to the first node met twice on it, that node at the end; or nothing.

    `visited` collects every node that was seen.
    """
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
    visited: set[str] = set()
    for node in nodes:
        path = find_cycle(node, downstream, visited) if node not in visited else []
        if path:
            return path[path.index(path[-1]) :]
    return []
