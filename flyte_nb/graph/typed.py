"""Label arrows with the types they carry, once in front of each node."""

from flyte_nb.graph.elements import Graph, GraphEdge


def typed(graph: Graph) -> Graph:
    """Return the graph with labels for what each node takes: `list[int]`, or `rows: dataset, depth: int`.

    All arrows into a node end at the same place, so one label there is enough for all of them. A
    branch's conditions stay. Unknown types are left out.
    """
    into: dict[str, list[GraphEdge]] = {}
    for edge in graph.edges:
        if any(edge.types):
            into.setdefault(edge.target, []).append(edge)
    labels: dict[tuple[str, str], str] = {}
    for target, edges in into.items():
        pairs = [
            # A list whose items come from many nodes is one input, and is written once.
            *dict.fromkeys(
                (to, word)
                for edge in edges
                for (_, to), word in zip(edge.variables, edge.types, strict=True)
                if word
            )
        ]
        label = pairs[0][1] if len(pairs) == 1 else ", ".join(f"{to}: {word}" for to, word in pairs)
        labels[edges[0].source, target] = label
    return graph._replace(
        edges=tuple(
            edge if edge.label else edge._replace(label=labels.get((edge.source, edge.target), ""))
            for edge in graph.edges
        )
    )
