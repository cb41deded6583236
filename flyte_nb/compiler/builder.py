"""Hold the state of one workflow while it is compiled: its nodes, its edges, and its problems."""

from collections.abc import Iterable, Sequence

from flyteidl.core import compiler_pb2, workflow_pb2

from flyte_nb.api.nodes import START_NODE
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import Collector, cut
from flyte_nb.compiler.program import Interface, Program, key

BOTH, UPSTREAM = 0, 1
"""Where a binding adds its edges: to both maps of the closure, or to the upstream map alone."""


class CheckedNode:
    """A node of the workflow being compiled, with what the compiler has found out about it."""

    __slots__ = (
        "alias_count",
        "id",
        "inner",
        "interface",
        "kind",
        "message",
        "outputs",
        "reference",
        "waits",
    )

    def __init__(self, message: workflow_pb2.Node) -> None:
        self.message = message
        # A copy of the message's id: reading a field of a protobuf message costs a call, and the id
        # is read often.
        self.id = message.id
        self.kind: str = message.WhichOneof("target") or ""
        self.reference: bytes | None = None
        """The key of the task that a task node runs; `None` for other nodes, and when it names no task."""
        if self.kind == "task_node":
            task = message.task_node
            if task.HasField("reference_id"):
                self.reference = key(task.reference_id)
        self.interface: Interface | None = None
        """`None` until `find_interface` succeeded; a node with a problem keeps `None`."""
        self.outputs: dict[str, Type] = {}
        """Types of the outputs, by the names that other nodes use for them (aliases are applied)."""
        self.alias_count = 0
        """How many problems its output aliases have."""
        self.inner: Sequence[CheckedNode] = ()
        """Nodes inside this one: a branch's cases in their order, or the one node that an array runs."""
        self.waits: Sequence[str] = ()
        """The upstream ids that the spec declares, sorted; filled in when the node is checked."""

    def rename(self, id: str) -> None:
        """Give the node another id, in the message too."""
        self.id = id
        self.message.id = id

    @property
    def label(self) -> str:
        """Return the node's id with its title, for a sentence: `n0 (fit)`."""
        title = cut(self.message.metadata.name, 80)
        return f"{self.id} ({title})" if title and title != self.id else self.id

    def variable(self, name: str) -> str:
        """Return a variable of the node as Flyte's error texts name it: `<node name>.<variable>`."""
        named = self.message.HasField("metadata")
        return f"{self.message.metadata.name}.{name}" if named else name


class Builder:
    """Collect the nodes and edges of one workflow, and write them into `compiled`."""

    def __init__(
        self, compiled: compiler_pb2.CompiledWorkflow, program: Program, errors: Collector
    ) -> None:
        self.compiled = compiled
        self.template = compiled.template
        self.program = program
        self.types = program.types
        self.errors = errors
        self.interface = Interface({}, {})
        self.nodes: dict[str, CheckedNode] = {}
        """The nodes read so far, by id. Conditions and approvals may only refer to these."""
        self.all_ids: frozenset[str] = frozenset()
        """Ids of all nodes of the template, also of those not read yet."""
        self.upstream: dict[str, list[str]] = {}
        self.downstream: dict[str, list[str]] = {}
        """Edges as lists of ids by node id; unsorted and with repetitions until `sort_edges`."""

    def add_edges(self, makers: "Iterable[str]", node_id: str, direction: int = BOTH) -> None:
        """Make `node_id` wait for `makers`.

        Args:
            makers: ids of the nodes that must run before, at least one; an empty id is the start
                node.
            node_id: the node that waits.
            direction: `BOTH` or `UPSTREAM`.
        """
        # Written out rather than with `setdefault`: this runs for every binding of every node.
        waits = self.upstream.get(node_id)
        if waits is None:
            waits = self.upstream[node_id] = []
        for maker in makers:
            maker = maker or START_NODE
            waits.append(maker)
            if direction == BOTH:
                serves = self.downstream.get(maker)
                if serves is None:
                    self.downstream[maker] = [node_id]
                else:
                    serves.append(node_id)

    def sort_edges(self) -> None:
        """Sort the ids of every node's edges and remove repetitions."""
        for edges in (self.upstream, self.downstream):
            for node_id, others in edges.items():
                if len(others) > 1:
                    edges[node_id] = sorted(set(others))

    def write_connections(self) -> None:
        """Write the edges into the compiled workflow's `connections`; call `sort_edges` first."""
        connections = self.compiled.connections
        connections.SetInParent()
        for edges, lists in (
            (self.upstream, connections.upstream),
            (self.downstream, connections.downstream),
        ):
            for node_id, others in edges.items():
                lists[node_id].ids.extend(others)
