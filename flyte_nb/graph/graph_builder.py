"""Build a `Graph`: collect nodes and edges, merge parallel edges, and make equal titles distinguishable.

Both readers use this module: `compiled.py` for closures and `written.py` for templates.
"""

from collections.abc import Iterable, Mapping, Sequence

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.graph.elements import (
    CASE,
    DATA,
    FAILURE,
    INPUTS,
    ORDER,
    OUTPUTS,
    Graph,
    GraphEdge,
    GraphNode,
)

_MAX_SUFFIX = 18  # characters of a value that may be a part of a title
# Of two edges between the same nodes, the one with the stronger kind decides how the arrow is drawn.
_STRENGTH = {ORDER: 0, DATA: 1, FAILURE: 2, CASE: 3}


class GraphBuilder:
    """A graph while it is built. Two edges between the same nodes become one that carries both."""

    def __init__(self, title: str, name: str = "") -> None:
        self.title = title
        self.name = name
        self.nodes: list[GraphNode] = []
        self.literals: dict[str, dict[str, str]] = {}
        """The constants that each node is given, as text: by node id, then by variable."""
        self.ends: dict[str, list[str]] = {}
        """The nodes that make a branch's outputs, one in each case, by the branch's id."""
        self._edges: dict[tuple[str, str], GraphEdge] = {}

    def interface(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a node for the workflow's inputs and one for its outputs, where it has any."""
        if inputs:
            self.nodes.insert(0, GraphNode(START_NODE, INPUTS, "inputs", ", ".join(inputs)))
        if outputs:
            self.nodes.append(GraphNode(END_NODE, OUTPUTS, "outputs", ", ".join(outputs)))

    def edge(
        self,
        source: str,
        target: str,
        *,
        kind: str = DATA,
        label: str = "",
        var: str = "",
        to: str = "",
        type: str = "",
    ) -> None:
        """Add an arrow from the output `var` of `source` to the input `to` of `target`.

        Args:
            source: a node's id; for a branch, one arrow leaves each of its `ends`.
            target: a node's id.
            kind: `DATA`, `ORDER`, `CASE` or `FAILURE`.
            label: a branch's condition.
            var: the output of the source.
            to: the input of the target; empty when the arrow carries no data.
            type: the type of the data, in words.
        """
        # A branch is drawn as a node before its cases, but its outputs come from the cases.
        for origin in self.ends.get(source, (source,)):
            variables: tuple[tuple[str, str], ...] = ((var, to),) if to else ()
            types: tuple[str, ...] = (type,) if to else ()
            known = self._edges.get((origin, target))
            if known is not None:
                kind = max(kind, known.kind, key=_STRENGTH.__getitem__)
                label = label or known.label
                # The same output to the same input, e.g. twice in one list: it is listed once.
                if to and (var, to) in known.variables:
                    variables, types = (), ()
                variables, types = known.variables + variables, known.types + types
            self._edges[origin, target] = GraphEdge(origin, target, kind, label, variables, types)

    def graph(self) -> Graph:
        """Return the graph, with distinct titles and without edges from or to unknown nodes."""
        known = {node.id for node in self.nodes}
        edges = [
            edge for edge in self._edges.values() if edge.source in known and edge.target in known
        ]
        nodes = tuple(distinguished(self.nodes, self.literals))
        return Graph(self.title, nodes, tuple(edges), self.name)


def distinguished(
    nodes: Iterable[GraphNode], literals: "Mapping[str, Mapping[str, str]]"
) -> "list[GraphNode]":
    """Return the nodes with distinct titles: equal ones get a value the node is given, or its id.

    Three calls `train(depth=3)`, `train(depth=5)`, … become `train · 3`, `train · 5`, ….

    Args:
        nodes: all nodes of a graph.
        literals: the constants of each node; see `GraphBuilder.literals`.
    """
    nodes = list(nodes)
    by_title: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        by_title.setdefault(node.title, []).append(index)
    for title, indices in by_title.items():
        if len(indices) < 2:
            continue
        given = [literals.get(nodes[index].id, {}) for index in indices]
        suffixes = _distinct_values(given) or [nodes[index].id for index in indices]
        for index, suffix in zip(indices, suffixes, strict=True):
            # The suffix becomes a part of the title, so that the picture, the table and the tree
            # all show it.
            nodes[index] = nodes[index]._replace(title=f"{title} · {suffix}")
    return nodes


def _distinct_values(given: "list[Mapping[str, str]]") -> "list[str] | None":
    """Return the values of the first variable that is short and different for each node, or `None`."""
    for var in given[0]:
        values = [known.get(var, "").strip("'\"") for known in given]
        if len(set(values)) == len(values) and all(0 < len(v) <= _MAX_SUFFIX for v in values):
            return values
    return None


def map_subtitle(
    lengths: "Mapping[str, int]", bound: "Iterable[str]", parallelism: int, ratio: float
) -> str:
    """Return the second line of a map's node, e.g. `map × 20 · 4 at a time`.

    Args:
        lengths: of the lists that are written in the workflow, by input.
        bound: inputs that every element gets as a whole.
        parallelism: how many elements run at the same time; 0 when it is not limited.
        ratio: the share of the elements that must succeed, 0 to 1.
    """
    widths = {length for var, length in lengths.items() if var not in set(bound)}
    parts = [f"map × {widths.pop():,}" if len(widths) == 1 else "map"]
    if parallelism:
        parts.append(f"{parallelism} at a time")
    if ratio < 1:
        parts.append(f"≥ {ratio:.0%} must succeed")
    return " · ".join(parts)


def short_name(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2] or name
