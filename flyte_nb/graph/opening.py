"""Open and close nodes: sub-workflows, maps, and the groups of collapsed graphs.

    graph = graph_of(closure)              every level, each once, closed
    drawn = opened(graph, {"n1", "n1/n4"}) what is drawn when these nodes are open

`graph` never changes; the picture is a function of it and of a set of ids. `opened` returns a flat
`Graph`: an open node is a `GraphFrame` in `frames`, and its contents are nodes with paths as ids
(see `elements`). Arrows lead to and from the frame. Inside, `n1/start-node` and `n1/end-node` are
the ports on the frame's left and right edge where they continue. Both layout engines draw frames.
In the SVG a frame is `<g id="node-n1" class="f" data-phase="…">`, and is recoloured like any node.

`GraphNode.can_open` says what can be opened, and `Graph.frames` what is open. Ids that are unknown,
or inside a closed node, are ignored, so a view may keep a set of ids while other nodes open and
close. Opening is idempotent, and the order of the ids does not matter.
"""

from collections.abc import Collection, Iterator

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.collapse import LIMIT, collapsed
from flyte_nb.graph.elements import Graph, GraphEdge, GraphFrame, GraphNode

MAX_DEPTH = 40
"""Levels of frames inside frames that are opened."""
MAX_NODES = 5_000
"""Nodes that are drawn; a node whose contents would exceed this stays closed."""


def opened(graph: Graph, open: "Collection[str]" = (), *, limit: int = LIMIT) -> Graph:
    """Return the graph to draw when the nodes with these ids are open.

    Args:
        graph: as `graph_of` returned it.
        open: ids of nodes and groups, e.g. `{"n1", "n1/n0", "n4+"}`.
        limit: a level with more nodes is collapsed (see `collapse.collapsed`).

    Raises:
        ValueError: when `graph` is the result of `opened`.
    """
    if graph.frames:
        raise ValueError("this graph has open nodes already; pass the graph that graph_of returned")
    return _GraphOpening(graph, frozenset(open), limit).graph()


def openable(graph: Graph, depth: "int | None" = None) -> "frozenset[str]":
    """Return the ids of every sub-workflow and map down to a depth, to be passed to `opened`.

    Args:
        graph: as `graph_of` returned it.
        depth: levels; 0 for none, `None` for all, as far as `MAX_DEPTH` and `MAX_NODES` allow.
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
    """Return the ids that open the nodes with these names, and everything around them.

    Args:
        graph: as `graph_of` returned it.
        names: ids (`n1/n0`, `n4+`), titles of nodes, or names of the functions they run; `all` for
            every
            node that opens.

    Raises:
        UsageError: when no node that can be opened has one of the names.
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
            can = ", ".join(known[:20]) or "none"
            raise UsageError(
                f"No node that can be opened is called {name!r}. Nodes that can be opened: {can}."
            )
        # A node is only on the page when everything around it is open.
        for path in paths:
            steps = path.split("/")
            ids.update("/".join(steps[: count + 1]) for count in range(len(steps)))
    return frozenset(ids)


def _at(graph: Graph, path: str) -> GraphNode:
    """Return the node at a path that `openable` returned."""
    *outer, last = path.split("/")
    level = graph
    for step in outer:
        level = graph.within[next(node.opens for node in level.nodes if node.id == step)]
    return next(node for node in level.nodes if node.id == last)


def below(path: str, open: "Collection[str]") -> "frozenset[str]":
    """Return the ids inside the node at that path: what to forget when it closes for good."""
    return frozenset(id for id in open if id.startswith(f"{path}/"))


class _GraphOpening:
    """Build the graph with open nodes, level by level."""

    def __init__(self, graph: Graph, open: "frozenset[str]", limit: int) -> None:
        self._whole = graph
        self._open = open
        self._limit = limit
        # Counted down while nodes are added, because a graph that doubles at every level would
        # never end.
        self._room = MAX_NODES - len(graph.nodes)
        self._nodes: list[GraphNode] = []
        self._edges: list[GraphEdge] = []
        self._frames: list[GraphFrame] = []

    def graph(self) -> Graph:
        """Return the graph with frames; the collapsed graph when nothing is open."""
        whole = self._whole
        # Each level is collapsed by itself, so an open sub-workflow may have groups of its own.
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
        """Add one level, and return the ids of what stands directly in it.

        Args:
            level: all its nodes.
            small: the level collapsed, whose groups may be open.
            prefix: the path of the frame around it, with a slash at its end.
            depth: how many frames are around it.
        """
        nodes = {node.id: node for node in level.nodes}
        for node in small.nodes:
            if node.members and prefix + node.id in self._open and self._fits(len(node.members)):
                self._frame(node, prefix)
                # The frame is listed before its contents; its members are filled in afterwards.
                at = len(self._frames) - 1
                members = tuple(
                    self._thing(nodes[member], prefix, depth + 1) for member in node.members
                )
                self._frames[at] = self._frames[at]._replace(members=members)
                # Only the edges among the members: those to the outside lead to the frame, and are
                # in `small`.
                inside = frozenset(node.members)
                self._connect(
                    (e for e in level.edges if e.source in inside and e.target in inside), prefix
                )
            else:
                self._thing(node, prefix, depth)
        self._connect(small.edges, prefix)
        return tuple(prefix + node.id for node in small.nodes)

    def _thing(self, node: GraphNode, prefix: str, depth: int) -> str:
        """Add a node, or the frame that it opens to, and return its path."""
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
        """Add an empty frame."""
        self._frames.append(GraphFrame(_moved(node, prefix), ()))

    def _fits(self, count: int) -> bool:
        """Return whether so many more nodes may be drawn, and reserve the room for them."""
        if count > self._room:
            return False
        self._room -= count
        return True

    def _connect(self, edges: "Iterator[GraphEdge] | tuple[GraphEdge, ...]", prefix: str) -> None:
        """Add edges, with paths for ids."""
        self._edges += [
            edge._replace(source=prefix + edge.source, target=prefix + edge.target)
            if prefix
            else edge
            for edge in edges
        ]


def _moved(node: GraphNode, prefix: str) -> GraphNode:
    """Return the node with a path for its id and for those of its members."""
    if not prefix:
        return node
    members = tuple(prefix + member for member in node.members)
    return node._replace(id=prefix + node.id, members=members)
