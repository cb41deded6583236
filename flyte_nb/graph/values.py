"""A graph to be drawn, as plain values: what stands on a node, what an edge carries."""

from typing import NamedTuple

START = "start-node"
END = "end-node"

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


class GraphEdge(NamedTuple):
    """One arrow. Between two nodes there is one, whatever it carries."""

    source: str
    target: str
    kind: str = DATA
    label: str = ""
    """Drawn at the arrow's head: a branch's condition."""
    variables: "tuple[tuple[str, str], ...]" = ()
    """(output of the source, input of the target), e.g. `("o0", "rows")`."""


class Graph(NamedTuple):
    """What is drawn. Edges may name ids that no node has (a wrong workflow); they are left out."""

    title: str
    nodes: "tuple[GraphNode, ...]"
    edges: "tuple[GraphEdge, ...]"

    def node(self, node_id: str) -> "GraphNode | None":
        """The node with that id, or the group that stands for it."""
        for node in self.nodes:
            if node.id == node_id or node_id in node.members:
                return node
        return None
