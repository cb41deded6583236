"""Add what a node turned out to run to a graph: the nodes that a dynamic task made. Pure.

A level of a graph may be drawn in several places, one for each node that opens to it, and the node that
grows is in one of them. So every level on the way to it becomes a level of its own.
"""

from flyte_nb.graph.elements import Graph, GraphNode


def grown(graph: Graph, path: str, inner: Graph) -> Graph:
    """Return the graph in which the node at a path opens to `inner`; unchanged if there is no such node.

    Args:
        graph: With nothing open, as `graph_of` returned it.
        path: The node's path, e.g. `n1/n0`.
        inner: What the node runs, with everything that can be opened in it.
    """
    # The keys of `inner` may be those of levels that are here already, and mean others.
    keys = {key: f"{path}:{key}" for key in inner.within}
    within = {
        **graph.within,
        **{keys[key]: _rekeyed(level, keys) for key, level in inner.within.items()},
    }
    place = f"{path}:"
    within[place] = _rekeyed(inner, keys)._replace(within={})
    top = _opening(graph, path.split("/"), "", place, within)
    return graph if top is None else top._replace(within=within)


def _opening(
    level: Graph, steps: "list[str]", above: str, place: str, within: "dict[str, Graph]"
) -> "Graph | None":
    """Return the level in which the node that `steps` lead to opens to `place`; `None` if there is none."""
    step, *rest = steps
    node = next((node for node in level.nodes if node.id == step), None)
    if node is None:
        return None
    opens, path = place, f"{above}{step}"
    if rest:
        below = within.get(node.opens)
        changed = below and _opening(below, rest, f"{path}/", place, within)
        if not changed:
            return None
        opens = f"{path}:"
        within[opens] = changed
    nodes = tuple(one._replace(opens=opens) if one is node else one for one in level.nodes)
    return level._replace(nodes=nodes)


def _rekeyed(graph: Graph, keys: "dict[str, str]") -> Graph:
    def moved(node: GraphNode) -> GraphNode:
        return node._replace(opens=keys.get(node.opens, node.opens)) if node.opens else node

    return graph._replace(nodes=tuple(map(moved, graph.nodes)))
