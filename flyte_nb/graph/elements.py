"""Define a graph to be drawn, as plain values: nodes, edges, frames, and what opens.

Ids are paths. A node of the workflow has its id in the template, `n1`. A node of the sub-workflow
or map that `n1` runs has the id `n1/n0`, and so on inwards. The cases of a branch belong to the
branch's own level: `n2-n0`, not `n2/n2-n0`. The group that begins with node `n4` is `n4+`; its
members keep their ids. Opening and closing does not change paths, so a phase that is known by path
is drawn wherever its node is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.api.nodes import END_NODE, START_NODE

# Kinds of nodes that only a drawing has; the kinds of a workflow's own nodes are in `api/nodes.py`.
INPUTS = "inputs"
OUTPUTS = "outputs"
GROUP = "group"

# Kinds of edges.
DATA = "data"
ORDER = "order"
CASE = "case"
FAILURE = "failure"

# Marks of nodes and edges that differ from another graph; see `changes.diff`.
NEW = "new"
CHANGED = "changed"
REMOVED = "removed"


class GraphNode(NamedTuple):
    """A node to be drawn."""

    id: str
    """The node's id in the workflow, e.g. `n0`; `start-node` and `end-node` for the interface."""
    kind: str
    """A kind of `api/nodes.py`, or `INPUTS`, `OUTPUTS` or `GROUP`."""
    title: str
    subtitle: str = ""
    """The second line while there is no phase, e.g. `sub-workflow`."""
    name: str = ""
    """The full name of the entity it runs."""
    members: "tuple[str, ...]" = ()
    """Ids of the nodes that a `GROUP` stands for, in their order."""
    opens: str = ""
    """The key in `Graph.within` of the graph that it opens to; empty when it cannot be opened."""
    mark: str = ""
    """`NEW`, `CHANGED` or `REMOVED`, where two graphs are compared."""
    why: str = ""
    """Why a node is marked as changed, e.g. `input depth`."""

    @property
    def can_open(self) -> bool:
        """Return whether the node can be opened: a graph or a group's members are inside it."""
        return bool(self.opens or self.members)

    @property
    def is_port(self) -> bool:
        """Return whether this is a frame's port, e.g. `n1/start-node`, where arrows pass through its edge."""
        return self.kind in (INPUTS, OUTPUTS) and self.id not in (START_NODE, END_NODE)


class GraphEdge(NamedTuple):
    """An arrow. There is one between two nodes, whatever it carries."""

    source: str
    target: str
    kind: str = DATA
    label: str = ""
    """Drawn at the arrow's head: a branch's condition."""
    variables: "tuple[tuple[str, str], ...]" = ()
    """Pairs of the source's output and the target's input, e.g. `("o0", "rows")`."""
    types: "tuple[str, ...]" = ()
    """The type of each variable in words, e.g. `list[int]`; empty where it is not known."""
    mark: str = ""
    """`NEW`, `CHANGED` or `REMOVED`, where two graphs are compared."""


class GraphFrame(NamedTuple):
    """An open node, drawn as a frame around its contents."""

    node: GraphNode
    """The node as it was closed; edges still refer to its id."""
    members: "tuple[str, ...]"
    """Ids of the nodes and frames directly inside it."""


class Graph(NamedTuple):
    """A graph to be drawn. Edges that name unknown ids (in an invalid workflow) are ignored."""

    title: str
    nodes: "tuple[GraphNode, ...]"
    edges: "tuple[GraphEdge, ...]"
    """Arrows between nodes and frames."""
    name: str = ""
    """The workflow's full name."""
    frames: "tuple[GraphFrame, ...]" = ()
    """The open nodes, each before those inside it; see `opening.opened`."""
    within: "Mapping[str, Graph]" = {}  # noqa: RUF012 - never mutated
    """The graphs that nodes open to, at any depth, by `GraphNode.opens`. Their ids are not paths yet."""

    def node(self, node_id: str) -> "GraphNode | None":
        """Return the node with that id, the open node, or the group that stands for it; `None` if unknown."""
        for node in (*self.nodes, *(frame.node for frame in self.frames)):
            if node.id == node_id or node_id in node.members:
                return node
        return None
