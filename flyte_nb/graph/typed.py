"""Types on arrows, when they are asked for: what comes in, written once in front of each node."""

from flyte_nb.graph.elements import Graph, GraphEdge


def typed(graph: Graph) -> Graph:
    """The graph with labels that say what each node takes: `list[int]`, or `rows: dataset, depth: int`.

    All arrows into a node end at one place, so one label stands there for all of them. A branch's
    conditions stay. Types that are not known are left out.
    """
    into: dict[str, list[GraphEdge]] = {}
    for edge in graph.edges:
        if any(edge.types):
            into.setdefault(edge.target, []).append(edge)
    said: dict[tuple[str, str], str] = {}
    for target, edges in into.items():
        pairs = [
            *dict.fromkeys(  # a list that is gathered from many nodes is said once
                (to, word)
                for edge in edges
                for (_, to), word in zip(edge.variables, edge.types, strict=True)
                if word
            )
        ]
        label = pairs[0][1] if len(pairs) == 1 else ", ".join(f"{to}: {word}" for to, word in pairs)
        said[edges[0].source, target] = label
    return graph._replace(
        edges=tuple(
            edge if edge.label else edge._replace(label=said.get((edge.source, edge.target), ""))
            for edge in graph.edges
        )
    )
