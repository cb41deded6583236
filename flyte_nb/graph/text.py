"""The graph as text, for terminals, `text/plain` and readers who cannot see the picture."""

from collections.abc import Mapping, Sequence

from flyte_nb.api.problems import Problem, as_text
from flyte_nb.graph.palette import display_phase, style_of
from flyte_nb.graph.ranking import adjacency, back_edges, ranks, topological
from flyte_nb.graph.values import INPUTS, OUTPUTS, Graph, GraphNode

_MAX_LINES = 200
_MAX_DEPTH = 24  # levels that are indented; deeper ones stay at that indentation


def tree(
    graph: Graph,
    phases: "Mapping[str, str] | None" = None,
    problems: "Sequence[Problem]" = (),
) -> str:
    """The graph as an indented tree, one node a line, problems numbered at the end.

    Every node stands once, below the last of the nodes it waits for; the others follow it after `←`.
    A chain stays on one level. At most 200 nodes are listed.
    """
    phases = phases or {}
    numbers: dict[str, list[int]] = {}
    for number, problem in enumerate(problems, start=1):
        numbers.setdefault(problem.node_id, []).append(number)
    lines = [graph.title]
    skeleton = _Skeleton(graph)
    stack = [(root, 0) for root in reversed(skeleton.roots)]
    while stack and len(lines) <= _MAX_LINES:
        index, depth = stack.pop()
        node = graph.nodes[index]
        lines.append("  " * min(depth + 1, _MAX_DEPTH) + _line(node, phases, numbers))
        also = [graph.nodes[other].title for other in skeleton.others[index]]
        if also:
            lines[-1] += "  ← " + ", ".join(also[:6]) + (" …" if len(also) > 6 else "")
        children = skeleton.children[index]
        deeper = depth if len(children) == 1 else depth + 1
        stack.extend((child, deeper) for child in reversed(children))
    hidden = len(graph.nodes) - (len(lines) - 1)
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more")
    if problems:
        lines += ["", as_text(problems)]
    return "\n".join(lines)


class _Skeleton:
    """One parent a node, so that the graph can be printed as a tree."""

    def __init__(self, graph: Graph) -> None:
        count = len(graph.nodes)
        index = {node.id: number for number, node in enumerate(graph.nodes)}
        pairs = [
            (index[edge.source], index[edge.target])
            for edge in graph.edges
            if edge.source in index and edge.target in index and edge.source != edge.target
        ]
        back = back_edges(count, pairs)
        forward = [pair for pair in pairs if pair not in back]
        successors, predecessors = adjacency(count, forward)
        rank = ranks(successors, predecessors)
        self.children: list[list[int]] = [[] for _ in range(count)]
        self.others: list[list[int]] = [[] for _ in range(count)]
        self.roots: list[int] = []
        for node in topological(successors, predecessors):
            sources = sorted(predecessors[node], key=lambda parent: (rank[parent], parent))
            if sources:
                self.children[sources[-1]].append(node)
                self.others[node] = sources[:-1]
            else:
                self.roots.append(node)


def _line(node: GraphNode, phases: "Mapping[str, str]", numbers: "Mapping[str, list[int]]") -> str:
    if node.kind in (INPUTS, OUTPUTS):
        return f"{node.title}: {node.subtitle}"
    parts = []
    if node.id in numbers:
        parts.append("✕ " + ",".join(map(str, numbers[node.id])))
    elif node.id in phases:
        parts.append(style_of(display_phase(phases[node.id])).mark)
    parts.append(node.title)
    if node.subtitle:
        parts.append(f"({node.subtitle})")
    return " ".join(parts)
