"""What both readers of workflows share: collecting edges, and titles that tell nodes apart."""

from collections.abc import Iterable, Mapping, Sequence

from flyte_nb.graph.elements import (
    CASE,
    DATA,
    END,
    FAILURE,
    INPUTS,
    ORDER,
    OUTPUTS,
    START,
    Graph,
    GraphEdge,
    GraphNode,
)

_MAX_SUFFIX = 18  # characters of a value that may stand in a title
_STRENGTH = {ORDER: 0, DATA: 1, FAILURE: 2, CASE: 3}


class Drawing:
    """Collects nodes and edges; two edges between the same nodes become one that carries both."""

    def __init__(self, title: str, name: str = "") -> None:
        self.title = title
        self.name = name
        self.nodes: list[GraphNode] = []
        self.literals: dict[str, dict[str, str]] = {}
        """Scalars that are given to each node: node id, then variable, to text."""
        self.ends: dict[str, list[str]] = {}
        """Where the outputs of a branch come out: its id, to the ids of its leaves."""
        self._edges: dict[tuple[str, str], GraphEdge] = {}

    def interface(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add the workflow's own inputs and outputs, where it has any."""
        if inputs:
            self.nodes.insert(0, GraphNode(START, INPUTS, "inputs", ", ".join(inputs)))
        if outputs:
            self.nodes.append(GraphNode(END, OUTPUTS, "outputs", ", ".join(outputs)))

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
        """Add what goes from `source` (its output `var`) to `target` (its input `to`)."""
        for origin in self.ends.get(source, (source,)):
            variables: tuple[tuple[str, str], ...] = ((var, to),) if to else ()
            types: tuple[str, ...] = (type,) if to else ()
            known = self._edges.get((origin, target))
            if known is not None:
                kind = max(kind, known.kind, key=_STRENGTH.__getitem__)
                label = label or known.label
                if to and (var, to) in known.variables:
                    variables, types = (), ()
                variables, types = known.variables + variables, known.types + types
            self._edges[origin, target] = GraphEdge(origin, target, kind, label, variables, types)

    def graph(self) -> Graph:
        """The graph: titles told apart, edges to and from unknown nodes dropped."""
        known = {node.id for node in self.nodes}
        edges = [
            edge for edge in self._edges.values() if edge.source in known and edge.target in known
        ]
        nodes = tuple(told_apart(self.nodes, self.literals))
        return Graph(self.title, nodes, tuple(edges), self.name)


def told_apart(
    nodes: Iterable[GraphNode], literals: "Mapping[str, Mapping[str, str]]"
) -> "list[GraphNode]":
    """The nodes, those of equal title told apart: by a value they are given, or by their id.

    Three calls `train(depth=3)`, `train(depth=5)`, … become `train · 3`, `train · 5`, ….
    """
    nodes = list(nodes)
    by_title: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        by_title.setdefault(node.title, []).append(index)
    for title, indices in by_title.items():
        if len(indices) < 2:
            continue
        given = [literals.get(nodes[index].id, {}) for index in indices]
        suffixes = _telling(given) or [nodes[index].id for index in indices]
        for index, suffix in zip(indices, suffixes, strict=True):
            nodes[index] = nodes[index]._replace(title=f"{title} · {suffix}")
    return nodes


def _telling(given: "list[Mapping[str, str]]") -> "list[str] | None":
    for var in given[0]:
        values = [known.get(var, "").strip("'\"") for known in given]
        if len(set(values)) == len(values) and all(0 < len(v) <= _MAX_SUFFIX for v in values):
            return values
    return None


def map_subtitle(
    lengths: "Mapping[str, int]", bound: "Iterable[str]", parallelism: int, ratio: float
) -> str:
    """What is said of a map, e.g. `map × 20 · 4 at a time`.

    Args:
        lengths: of the lists that are written in the workflow, by input.
        bound: inputs that every element gets whole.
        parallelism: elements at a time; 0 where it is not limited.
        ratio: of the elements, how many must succeed.
    """
    widths = {length for var, length in lengths.items() if var not in set(bound)}
    parts = [f"map × {widths.pop():,}" if len(widths) == 1 else "map"]
    if parallelism:
        parts.append(f"{parallelism} at a time")
    if ratio < 1:
        parts.append(f"≥ {ratio:.0%} must succeed")
    return " · ".join(parts)


def short_name(name: str) -> str:
    """The last part of a dotted name."""
    return name.rpartition(".")[2] or name
