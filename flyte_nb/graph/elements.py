"""A graph to be drawn, as plain values: what stands on a node, what an edge carries, what opens.

Ids are paths. A node of the workflow has its id in the template, `n1`; a node of what `n1` runs is
`n1/n0`, and so on inwards. The cases of a branch belong to the branch's own level: `n2-n0`, not
`n2/n2-n0`. The group that begins with node `n4` is `n4+`; its members keep their ids. Paths do not change
by opening and closing, so a phase that is known by path is drawn wherever its node is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.api.nodes import END_NODE, START_NODE

START = START_NODE
END = END_NODE

# Kinds of nodes.
TASK = "task"
WORKFLOW = "workflow"
LAUNCH_PLAN = "launch_plan"
BRANCH = "branch"
GATE = "gate"
ARRAY = "array"
INPUTS = "inputs"
OUTPUTS = "outputs"
GROUP = "group"

# Kinds of edges.
DATA = "data"
ORDER = "order"
CASE = "case"
FAILURE = "failure"

# Marks of nodes and edges: what differs from another graph; see `changes.diff`.
NEW = "new"
CHANGED = "changed"
REMOVED = "removed"


class GraphNode(NamedTuple):
    """One thing that is drawn."""

    id: str
    """The node's id in the workflow, e.g. `n0`; `start-node` and `end-node` for the interface."""
    kind: str
    title: str
    subtitle: str = ""
    """What is said while there is no phase, e.g. `sub-workflow`."""
    name: str = ""
    """The full registered name of what it runs."""
    members: "tuple[str, ...]" = ()
    """Ids of the nodes a `GROUP` stands for, in order."""
    opens: str = ""
    """What it opens to: a key of `Graph.within`; empty when there is nothing to open."""
    mark: str = ""
    """`NEW`, `CHANGED` or `REMOVED`, where two graphs are compared."""
    why: str = ""
    """Of a changed node: in what, e.g. `input depth`."""

    @property
    def can_open(self) -> bool:
        """Whether there is something in it that can be drawn."""
        return bool(self.opens or self.members)

    @property
    def is_port(self) -> bool:
        """Whether it is the place on a frame's edge where arrows go on, e.g. `n1/start-node`."""
        return self.kind in (INPUTS, OUTPUTS) and self.id not in (START, END)


class GraphEdge(NamedTuple):
    """One arrow. Between two nodes there is one, whatever it carries."""

    source: str
    target: str
    kind: str = DATA
    label: str = ""
    """Drawn at the arrow's head: a branch's condition."""
    variables: "tuple[tuple[str, str], ...]" = ()
    """(output of the source, input of the target), e.g. `("o0", "rows")`."""
    types: "tuple[str, ...]" = ()
    """The type of each variable as a person writes it, e.g. `list[int]`; empty where not known."""
    mark: str = ""
    """As of nodes."""


class Frame(NamedTuple):
    """A node that is open: drawn as a frame around what is in it."""

    node: GraphNode
    """As it was closed; edges go on naming its id."""
    members: "tuple[str, ...]"
    """Ids of the nodes and frames that stand directly in it."""


class Graph(NamedTuple):
    """What is drawn. Edges may name ids that no node has (a wrong workflow); they are left out."""

    title: str
    nodes: "tuple[GraphNode, ...]"
    edges: "tuple[GraphEdge, ...]"
    """Between nodes and frames."""
    name: str = ""
    """The workflow's full name."""
    frames: "tuple[Frame, ...]" = ()
    """What is open, outer frames before those in them; see `opening.opened`."""
    within: "Mapping[str, Graph]" = {}  # noqa: RUF012 - never mutated
    """The graphs that nodes of this one open to, at any depth, with ids of their own level."""

    def node(self, node_id: str) -> "GraphNode | None":
        """The node with that id, the frame it became, or the group that stands for it."""
        for node in (*self.nodes, *(frame.node for frame in self.frames)):
            if node.id == node_id or node_id in node.members:
                return node
        return None
