"""On which of the drawn nodes a problem is shown: where it is, or on what is closed around it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import Graph, GraphNode


class Pins(NamedTuple):
    """The problems of each drawn node, by its id."""

    numbers: "dict[str, list[int]]"
    """Counted from 1, as in the list beside the graph."""
    variables: "dict[str, list[str]]"
    """The inputs that are wrong."""


def pinned(graph: Graph, problems: "Sequence[Problem]") -> Pins:
    """Where the problems go.

    A problem of the workflow is on its node. One of a workflow that is run inside is on the node in its
    frame, or on the closed node that runs it, at any depth; one of a task is on every node that runs it.

    Args:
        graph: what is drawn, as `opening.opened` gave it.
        problems: with the name of their workflow or task in `entity`; without, they are the graph's own.
    """
    pins = Pins({}, {})
    if not problems:
        return pins
    nodes = [*graph.nodes, *(frame.node for frame in graph.frames)]
    drawn = {member: node.id for node in nodes for member in (node.id, *node.members)}
    open = [frame.node for frame in graph.frames]
    inside = _Inside(graph.within)
    for number, problem in enumerate(problems, start=1):
        prefixes = [
            f"{node.id}/" for node in open if problem.entity and node.name == problem.entity
        ]
        if problem.entity in ("", graph.name) or not graph.name:
            prefixes.append("")
        found = [drawn[p + problem.node_id] for p in prefixes if p + problem.node_id in drawn]
        if not prefixes:
            found = [n.id for n in graph.nodes if inside.runs(n, problem.entity)]
        for id in dict.fromkeys(found):
            pins.numbers.setdefault(id, []).append(number)
            pins.variables.setdefault(id, []).append(problem.variable)
    return pins


class _Inside:
    """The names of everything that runs in a closed node."""

    def __init__(self, within: "Mapping[str, Graph]") -> None:
        self._within = within
        self._names: dict[str, frozenset[str]] = {}

    def runs(self, node: GraphNode, name: str) -> bool:
        """Whether the node runs `name`, itself or at any depth."""
        return node.name == name or name in self._of(node.opens)

    def _of(self, key: str) -> "frozenset[str]":
        known = self._names.get(key)
        if known is None:
            names: set[str] = set()
            seen: set[str] = set()
            waiting = [key]
            while waiting:
                graph = self._within.get(here := waiting.pop())
                if here in seen or graph is None:
                    continue
                seen.add(here)
                names |= {node.name for node in graph.nodes}
                waiting += [node.opens for node in graph.nodes if node.opens]
            known = self._names[key] = frozenset(names)
        return known
