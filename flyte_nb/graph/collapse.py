"""Make large graphs readable: nodes that repeat, and nodes that only follow each other, become groups."""

from flyte_nb.graph.elements import CHANGED, GROUP, INPUTS, OUTPUTS, Graph, GraphEdge, GraphNode

LIMIT = 300
"""A graph with more nodes is collapsed without being asked to."""

_MIN_MEMBERS = 3
"""Fewer nodes take no more room than a group of them."""


def collapsed(graph: Graph, *, limit: int = LIMIT) -> Graph:
    """Return the graph, with groups in it when it has more than `limit` nodes.

    First, nodes that run the same thing between the same neighbours become one group (a wide fan).
    Then nodes that follow each other with nothing else between them do (a long chain). Both steps
    repeat while they help. A graph with neither stays as it is. The group that begins with `n4` has
    the id `n4+`.
    """
    seen = len(graph.nodes) + 1
    # A fan of chains becomes a fan of groups in the first round and one group in the second.
    while limit < len(graph.nodes) < seen:
        seen = len(graph.nodes)
        graph = _join(graph, _siblings(graph))
        if len(graph.nodes) > limit:
            graph = _join(graph, _chains(graph))
    return graph


def _neighbours(graph: Graph) -> "tuple[dict[str, list[str]], dict[str, list[str]]]":
    """Return the ids before each node and the ids after it."""
    before: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    after: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source in after and edge.target in before:
            after[edge.source].append(edge.target)
            before[edge.target].append(edge.source)
    return before, after


def _siblings(graph: Graph) -> "list[list[str]]":
    """Return lists of nodes that run the same thing and have the same neighbours."""
    before, after = _neighbours(graph)
    alike: dict[tuple[object, ...], list[str]] = {}
    for node in graph.nodes:
        if node.kind in (INPUTS, OUTPUTS):
            continue
        # Nodes with different marks are not grouped: the group could not show both.
        what = f"{node.name or node.kind} {node.mark}"
        where = (tuple(sorted(before[node.id])), tuple(sorted(after[node.id])))
        # Nodes without any neighbour have nothing in common but that.
        if any(where):
            alike.setdefault((what, *where), []).append(node.id)
    return [ids for ids in alike.values() if len(ids) >= _MIN_MEMBERS]


def _chains(graph: Graph) -> "list[list[str]]":
    """Return lists of nodes that follow each other, with no other arrow into or out of the list."""
    before, after = _neighbours(graph)
    fixed = {node.id for node in graph.nodes if node.kind in (INPUTS, OUTPUTS)}
    chains = []
    taken: set[str] = set()

    def follows(first: str, second: str) -> bool:
        """Return whether `second` follows `first`, and neither has another neighbour between them."""
        return (
            after[first] == [second] and before[second] == [first] and second not in fixed | taken
        )

    for node in graph.nodes:
        if node.id in fixed or node.id in taken:
            continue
        sources = before[node.id]
        if len(sources) == 1 and sources[0] not in fixed and follows(sources[0], node.id):
            continue  # not the first of its chain
        chain = [node.id]
        taken.add(node.id)
        while len(after[chain[-1]]) == 1 and follows(chain[-1], after[chain[-1]][0]):
            chain.append(after[chain[-1]][0])
            taken.add(chain[-1])
        if len(chain) >= _MIN_MEMBERS:
            chains.append(chain)
    return chains


def _join(graph: Graph, groups: "list[list[str]]") -> Graph:
    """Return the graph with each list of ids replaced by one node, in the place of the first."""
    nodes = {node.id: node for node in graph.nodes}
    made = {group[0]: _group([nodes[member] for member in group]) for group in groups}
    stands_for = {member: made[group[0]].id for group in groups for member in group}
    joined = []
    for node in graph.nodes:
        if node.id in made:
            joined.append(made[node.id])
        elif node.id not in stands_for:
            joined.append(node)
    edges: dict[tuple[str, str], GraphEdge] = {}
    for edge in graph.edges:
        source = stands_for.get(edge.source, edge.source)
        target = stands_for.get(edge.target, edge.target)
        if source != target and (source, target) not in edges:
            edges[source, target] = edge._replace(source=source, target=target)
    return graph._replace(nodes=tuple(joined), edges=tuple(edges.values()))


def _group(nodes: "list[GraphNode]") -> GraphNode:
    """Return the node that stands for these nodes."""
    members: list[str] = []
    for node in nodes:
        # A group of groups lists the nodes themselves, so opening it shows nodes.
        members += node.members or (node.id,)
    first, last = nodes[0].title.partition(" · ")[0], nodes[-1].title.partition(" · ")[0]
    same = len({node.name for node in nodes}) == 1 and nodes[0].name
    title = f"{first} × {len(members)}" if same else f"{first} … {last}"
    subtitle = "" if same else f"{len(members)} nodes"
    marks = {node.mark for node in nodes}
    mark = marks.pop() if len(marks) == 1 else CHANGED
    name = nodes[0].name if same else ""
    return GraphNode(f"{members[0]}+", GROUP, title, subtitle, name, tuple(members), "", mark)
