"""Decide on which drawn node a problem is shown: on its own, or on the closed node around it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import Graph, GraphNode


class Pins(NamedTuple):
    """The problems of each drawn node, by the node's id."""

    numbers: "dict[str, list[int]]"
    """The numbers of its problems, counted from 1 as in the list beside the graph."""
    variables: "dict[str, list[str]]"
    """The variables of its problems."""


def pinned(graph: Graph, problems: "Sequence[Problem]") -> Pins:
    """Return where the problems are shown.

    A problem of the workflow itself is shown on its node. A problem of a workflow that is run
    inside is shown on the node in its frame, or on the closed node that runs it, at any depth. A
    problem of a task is shown on every node that runs the task.

    Args:
        graph: what is drawn, as `opening.opened` returned it.
        problems: with the name of their workflow or task in `entity`. One without a name belongs to
            the graph
            itself.
    """
    pins = Pins({}, {})
    if not problems:
        return pins
    nodes = [*graph.nodes, *(frame.node for frame in graph.frames)]
    drawn = {member: node.id for node in nodes for member in (node.id, *node.members)}
    open = [frame.node for frame in graph.frames]
    inside = _ContentNames(graph.within)
    for number, problem in enumerate(problems, start=1):
        # The paths at which the problem's workflow is drawn: in each of its open frames, and at the
        # top.
        prefixes = [
            f"{node.id}/" for node in open if problem.entity and node.name == problem.entity
        ]
        if problem.entity in ("", graph.name) or not graph.name:
            prefixes.append("")
        found = [drawn[p + problem.node_id] for p in prefixes if p + problem.node_id in drawn]
        # Its workflow is not drawn: it runs inside something that is closed, or it is a task.
        if not prefixes:
            found = [n.id for n in graph.nodes if inside.runs(n, problem.entity)]
        for id in dict.fromkeys(found):
            pins.numbers.setdefault(id, []).append(number)
            pins.variables.setdefault(id, []).append(problem.variable)
    return pins


class _ContentNames:
    """The names of everything that runs inside a closed node, found once for each graph."""

    def __init__(self, within: "Mapping[str, Graph]") -> None:
        self._within = within
        self._names: dict[str, frozenset[str]] = {}

    def runs(self, node: GraphNode, name: str) -> bool:
        """Return whether the node runs `name`, itself or inside, at any depth."""
        return node.name == name or name in self._of(node.opens)

    def _of(self, key: str) -> "frozenset[str]":
        """Return the names of everything that runs in the graph with this key, at any depth."""
        known = self._names.get(key)
        if known is None:
            names: set[str] = set()
            seen: set[str] = set()
            waiting = [key]
            while waiting:
                graph = self._within.get(here := waiting.pop())
                # A workflow may contain itself.
                if here in seen or graph is None:
                    continue
                seen.add(here)
                names |= {node.name for node in graph.nodes}
                waiting += [node.opens for node in graph.nodes if node.opens]
            known = self._names[key] = frozenset(names)
        return known
