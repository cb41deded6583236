"""One workflow while it is compiled: its nodes, its edges, and what was found wrong."""

from collections.abc import Iterable, Sequence

from flyteidl.core import compiler_pb2, workflow_pb2

from flyte_nb.api.nodes import START_NODE
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.problems import Collector, cut
from flyte_nb.compiler.program import Interface, Program, key

BOTH, UPSTREAM = 0, 1
"""Directions in which a binding adds edges: both maps, or the upstream map alone."""


class NodeState:
    """One node and what is known of it."""

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
        self.id = message.id
        self.kind: str = message.WhichOneof("target") or ""
        self.reference: bytes | None = None
        """Of a task node: the task's key; `None` when it names no task."""
        if self.kind == "task_node":
            task = message.task_node
            if task.HasField("reference_id"):
                self.reference = key(task.reference_id)
        self.interface: Interface | None = None
        self.outputs: dict[str, Type] = {}
        """Output types by the names that others use: aliases applied."""
        self.alias_count = 0
        """How many problems its aliases have."""
        self.inner: Sequence[NodeState] = ()
        """Nodes inside it: a branch's, in order of the cases; an array's one."""
        self.waits: Sequence[str] = ()
        """The declared upstream ids, sorted, once it was checked."""

    def rename(self, id: str) -> None:
        """Give it another id."""
        self.id = id
        self.message.id = id

    @property
    def label(self) -> str:
        """How to speak of it: `n0 (fit)`."""
        title = cut(self.message.metadata.name, 80)
        return f"{self.id} ({title})" if title and title != self.id else self.id

    def variable(self, name: str) -> str:
        """The variable as Flyte's texts name it: `<node name>.<variable>`."""
        named = self.message.HasField("metadata")
        return f"{self.message.metadata.name}.{name}" if named else name


class Builder:
    """Collects the nodes and edges of one workflow. `compiled` is filled in place."""

    def __init__(
        self, compiled: compiler_pb2.CompiledWorkflow, program: Program, errors: Collector
    ) -> None:
        self.compiled = compiled
        self.template = compiled.template
        self.program = program
        self.types = program.types
        self.errors = errors
        self.interface = Interface({}, {})
        self.nodes: dict[str, NodeState] = {}
        """Nodes that may be referred to, by id: those before and including the one at hand."""
        self.all_ids: frozenset[str] = frozenset()
        """Ids of all nodes of the template."""
        self.upstream: dict[str, list[str]] = {}
        self.downstream: dict[str, list[str]] = {}
        """Ids by id; repeated and in no order until `sort_edges`."""

    def add_edges(self, makers: "Iterable[str]", node_id: str, direction: int = BOTH) -> None:
        """Let `node_id` wait for `makers`, of which there is at least one."""
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
        """Bring each node's edges in order, each once."""
        for edges in (self.upstream, self.downstream):
            for node_id, others in edges.items():
                if len(others) > 1:
                    edges[node_id] = sorted(set(others))

    def write_connections(self) -> None:
        """Put the sorted edges into the compiled workflow."""
        connections = self.compiled.connections
        connections.SetInParent()
        for edges, lists in (
            (self.upstream, connections.upstream),
            (self.downstream, connections.downstream),
        ):
            for node_id, others in edges.items():
                lists[node_id].ids.extend(others)
