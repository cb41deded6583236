"""Write the graph as text, for terminals, `text/plain` and readers who cannot see the picture."""

from collections.abc import Mapping, Sequence

from flyte_nb.api.problems import Problem, as_text
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphNode
from flyte_nb.graph.levels import Level, levels_of
from flyte_nb.graph.palette import CHANGE_STYLES, display_phase, style_of
from flyte_nb.graph.pins import pinned
from flyte_nb.graph.ranking import adjacency, back_edges, ranks, topological

_MAX_LINES = 200
_MAX_DEPTH = 24  # levels of indentation; deeper nodes are indented no further


def tree(
    graph: Graph,
    phases: "Mapping[str, str] | None" = None,
    problems: "Sequence[Problem]" = (),
) -> str:
    """Return the graph as an indented tree, one node on a line, with numbered problems at the end.

    Every node appears once, below the last of the nodes it waits for; the others follow it after
    `←`. The nodes of a chain have the same indentation. An open node has a `▾`, and its contents
    are below it, behind `│`. At most 200 nodes are listed.
    """
    numbers = pinned(graph, problems).numbers
    levels = levels_of(graph)
    skeletons = {key: _Skeleton(level) for key, level in levels.items()}
    lines = [graph.title]
    stack = [("", root, "  ") for root in reversed(skeletons[""].roots)]
    while stack and len(lines) <= _MAX_LINES:
        key, index, indent = stack.pop()
        things, skeleton = levels[key].things, skeletons[key]
        node = things[index]
        if not node.is_port:
            mark = "▾ " if node.id and node.id in levels else ""
            line = mark + _line(node, phases or {}, numbers)
            also = [things[other] for other in skeleton.others[index]]
            titles = [other.title for other in also if not other.is_port]
            if titles:
                line += "  ← " + ", ".join(titles[:6]) + (" …" if len(titles) > 6 else "")
            lines.append(indent + line)
        children = skeleton.children[index]
        # Only a fork indents: a chain of a hundred tasks stays readable.
        same = len(children) == 1 or node.is_port or len(indent) >= 2 * _MAX_DEPTH
        deeper = indent if same else f"{indent}  "
        stack.extend((key, child, deeper) for child in reversed(children))
        if node.id and node.id in levels:
            inner = f"{indent}│ "
            stack.extend((node.id, root, inner) for root in reversed(skeletons[node.id].roots))
    ports = sum(1 for node in graph.nodes if node.is_port)
    # The first line is the title.
    hidden = len(graph.nodes) - ports + len(graph.frames) - (len(lines) - 1)
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more")
    if problems:
        lines += ["", as_text(problems)]
    return "\n".join(lines)


class _Skeleton:
    """A level as a tree: one parent for each node."""

    def __init__(self, level: Level) -> None:
        count = len(level.things)
        pairs = [(source, target) for _, source, target in level.arrows if source != target]
        back = back_edges(count, pairs)
        forward = list(dict.fromkeys(pair for pair in pairs if pair not in back))
        successors, predecessors = adjacency(count, forward)
        rank = ranks(successors, predecessors)
        self.children: list[list[int]] = [[] for _ in range(count)]
        self.others: list[list[int]] = [[] for _ in range(count)]
        self.roots: list[int] = []
        # The parent is the last predecessor in the layout, so a node is listed when all it waits
        # for is above it.
        for node in topological(successors, predecessors):
            sources = sorted(predecessors[node], key=lambda parent: (rank[parent], parent))
            if sources:
                self.children[sources[-1]].append(node)
                self.others[node] = sources[:-1]
            else:
                self.roots.append(node)


def _line(node: GraphNode, phases: "Mapping[str, str]", numbers: "Mapping[str, list[int]]") -> str:
    """Return the line of a node: its mark, its problems or its phase, its title."""
    if node.kind in (INPUTS, OUTPUTS):
        return f"{node.title}: {node.subtitle}"
    parts = [CHANGE_STYLES[node.mark].mark] if node.mark else []
    if node.id in numbers:
        parts.append("✕ " + ",".join(map(str, numbers[node.id])))
    elif node.id in phases:
        parts.append(style_of(display_phase(phases[node.id])).mark)
    parts.append(node.title)
    if node.subtitle:
        parts.append(f"({node.subtitle})")
    return " ".join(parts)
