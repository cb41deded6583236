"""What opens and closes: sub-workflows, maps, and the groups that large graphs are collapsed to.

    graph = graph_of(closure)              every level, each once, closed
    drawn = opened(graph, {"n1", "n1/n4"}) what is drawn when these are open

`graph` never changes; the picture is a function of it and of a set of ids. `opened` gives a flat `Graph`:
an open node is a `Frame` in `frames`, what is in it are nodes with paths for ids (see `values`). Its arrows
lead to and from the frame; inside of it, `n1/start-node` and `n1/end-node` are the places on the frame's
left and right edge where they go on. Both layout engines draw frames, and in the SVG a frame is
`<g id="node-n1" class="f" data-phase="…">`, recoloured like any node.

What can be opened says `GraphNode.can_open`; what is open, `Graph.frames`. Ids that are unknown, or not
on the page because something around them is closed, are ignored, so that a set may be kept while other
things open and close. Opening is idempotent, and the order does not matter.
"""

from collections.abc import Collection, Iterator

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.collapse import LIMIT, collapsed
from flyte_nb.graph.elements import Frame, Graph, GraphEdge, GraphNode

MAX_DEPTH = 40
"""Levels of frames in frames that are opened."""
MAX_NODES = 5_000
"""Nodes that are drawn; what would be more stays closed."""


def opened(graph: Graph, open: "Collection[str]" = (), *, limit: int = LIMIT) -> Graph:
    """The graph to draw when the nodes with these ids are open.

    Args:
        graph: as `graph_of` gave it.
        open: ids of nodes and groups, e.g. `{"n1", "n1/n0", "n4+"}`.
        limit: each level with more nodes than that is collapsed (see `collapse.collapsed`).
    """
    if graph.frames:
        raise ValueError("this graph is open already; give the one that graph_of made")
    return _Opening(graph, frozenset(open), limit).graph()


def openable(graph: Graph, depth: "int | None" = None) -> "frozenset[str]":
    """Ids to give to `opened`, so that every sub-workflow and map down to that depth is open.

    Args:
        graph: as `graph_of` gave it.
        depth: levels; 0 for none, `None` for all, as far as `MAX_DEPTH` and `MAX_NODES` go.
    """
    deepest = MAX_DEPTH if depth is None else min(depth, MAX_DEPTH)
    found: list[str] = []
    level = [("", graph)]
    drawn = len(graph.nodes)
    for _ in range(deepest):
        deeper = []
        for prefix, here in level:
            for node in here.nodes:
                inner = graph.within.get(node.opens)
                if inner is None or not node.id or drawn + len(inner.nodes) > MAX_NODES:
                    continue
                drawn += len(inner.nodes)
                found.append(prefix + node.id)
                deeper.append((f"{prefix}{node.id}/", inner))
        level = deeper
    return frozenset(found)


def found(graph: Graph, names: "Collection[str]") -> "frozenset[str]":
    """Ids to give to `opened`, so that what is called that is open, and everything around it.

    Args:
        graph: as `graph_of` gave it.
        names: ids (`n1/n0`, `n4+`), or what nodes, or the functions they run, are called; `all`.

    Raises:
        UsageError: nothing that opens has one of the names.
    """
    every = openable(graph)
    if "all" in names:
        return every
    called: dict[str, list[str]] = {}
    for path in every:
        node = _at(graph, path)
        for name in {path, node.title, node.name, node.name.rpartition(".")[2]}:
            called.setdefault(name, []).append(path)
    ids: set[str] = set()
    for name in names:
        paths = [name] if name.endswith("+") else called.get(name)
        if not paths:
            known = sorted({_at(graph, path).title for path in every})
            can = ", ".join(known[:20]) or "nothing"
            raise UsageError(f"There is no {name!r} that opens. What opens here: {can}.")
        for path in paths:
            steps = path.split("/")
            ids.update("/".join(steps[: count + 1]) for count in range(len(steps)))
    return frozenset(ids)


def _at(graph: Graph, path: str) -> GraphNode:
    """The node at a path that `openable` gave."""
    *outer, last = path.split("/")
    level = graph
    for step in outer:
        level = graph.within[next(node.opens for node in level.nodes if node.id == step)]
    return next(node for node in level.nodes if node.id == last)


def below(path: str, open: "Collection[str]") -> "frozenset[str]":
    """Those of the ids that lie in the node with that path: what to forget when it closes for good."""
    return frozenset(id for id in open if id.startswith(f"{path}/"))


class _Opening:
    """One graph while it is put together."""

    def __init__(self, graph: Graph, open: "frozenset[str]", limit: int) -> None:
        self._whole = graph
        self._open = open
        self._limit = limit
        self._room = MAX_NODES - len(graph.nodes)
        self._nodes: list[GraphNode] = []
        self._edges: list[GraphEdge] = []
        self._frames: list[Frame] = []

    def graph(self) -> Graph:
        whole = self._whole
        small = collapsed(whole, limit=self._limit)
        if not self._open:
            return small
        self._level(whole, small, "", 0)
        return Graph(
            whole.title,
            tuple(self._nodes),
            tuple(self._edges),
            whole.name,
            tuple(self._frames),
            whole.within,
        )

    def _level(self, level: Graph, small: Graph, prefix: str, depth: int) -> "tuple[str, ...]":
        """Add one level; return the ids of what stands directly in it."""
        nodes = {node.id: node for node in level.nodes}
        for node in small.nodes:
            if node.members and prefix + node.id in self._open and self._fits(len(node.members)):
                self._frame(node, prefix)
                at = len(self._frames) - 1
                members = tuple(
                    self._thing(nodes[member], prefix, depth + 1) for member in node.members
                )
                self._frames[at] = self._frames[at]._replace(members=members)
                inside = frozenset(node.members)
                self._connect(
                    (e for e in level.edges if e.source in inside and e.target in inside), prefix
                )
            else:
                self._thing(node, prefix, depth)
        self._connect(small.edges, prefix)
        return tuple(prefix + node.id for node in small.nodes)

    def _thing(self, node: GraphNode, prefix: str, depth: int) -> str:
        """Add a node, or the frame that it opens to."""
        path = prefix + node.id
        inner = self._whole.within.get(node.opens)
        if inner is None or not node.id or path not in self._open or depth >= MAX_DEPTH:
            self._nodes.append(_moved(node, prefix))
        else:
            small = collapsed(inner, limit=self._limit)
            if not self._fits(len(small.nodes)):
                self._nodes.append(_moved(node, prefix))
                return path
            self._frame(node, prefix)
            at = len(self._frames) - 1
            members = self._level(inner, small, f"{path}/", depth + 1)
            self._frames[at] = self._frames[at]._replace(members=members)
        return path

    def _frame(self, node: GraphNode, prefix: str) -> None:
        self._frames.append(Frame(_moved(node, prefix), ()))

    def _fits(self, count: int) -> bool:
        if count > self._room:
            return False
        self._room -= count
        return True

    def _connect(self, edges: "Iterator[GraphEdge] | tuple[GraphEdge, ...]", prefix: str) -> None:
        self._edges += [
            edge._replace(source=prefix + edge.source, target=prefix + edge.target)
            if prefix
            else edge
            for edge in edges
        ]


def _moved(node: GraphNode, prefix: str) -> GraphNode:
    if not prefix:
        return node
    members = tuple(prefix + member for member in node.members)
    return node._replace(id=prefix + node.id, members=members)
