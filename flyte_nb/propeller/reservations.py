"""Who computes which result of a task with `cache_serialize`: one at a time, the others wait for it.

Flyte keeps reservations in its catalog service, with owners that extend them. Here one engine runs all
executions of a catalog, so they are kept in memory, and taken again when the engine starts anew.
"""

from collections.abc import Iterable
from typing import NamedTuple

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.results import Results
from flyte_nb.propeller.state import NodeState


class Reservations:
    """The keys of the catalog that somebody computes a result for. For one thread."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[ExecutionId, str]] = {}

    def take(self, key: str, execution: ExecutionId, node_id: str) -> bool:
        """Reserve `key`; return whether that node has it now."""
        return self._owners.setdefault(key, (execution, node_id)) == (execution, node_id)

    def release(self, key: str, execution: ExecutionId, node_id: str) -> None:
        """Let others have `key`; nothing happens when that node does not have it."""
        if self._owners.get(key) == (execution, node_id):
            del self._owners[key]


class Turn(NamedTuple):
    """What a node that asked is to do."""

    may_start: bool
    outputs: "LiteralMap | None" = None
    """What another one has computed meanwhile; then the node needs no attempt."""


class Turns:
    """The reservations as one execution uses them."""

    def __init__(
        self, reservations: Reservations, execution: ExecutionId, results: Results, values: Values
    ) -> None:
        self._reservations = reservations
        self._execution = execution
        self._results = results
        self._values = values
        self._held: dict[str, tuple[str, NodeState]] = {}  # by node id
        self.is_waiting = False
        """Whether a node that asked lately waits for another one's result."""

    def ask(self, node: NodeState) -> Turn:
        """Say whether an attempt at the node may start; until it may, it has to ask again."""
        if not node.plan.serializable or node.node_id in self._held:
            return Turn(may_start=True)
        try:
            inputs = self._values.get(node.input_uri)
        except StorageError:
            return Turn(may_start=True)  # the attempt itself says what is wrong
        key = self._results.key(node, inputs)
        if not key:
            return Turn(may_start=True)
        if not self._reservations.take(key, self._execution, node.node_id):
            self.is_waiting = True
            return Turn(may_start=False)
        self._held[node.node_id] = (key, node)
        if node.attempts:  # what it computes it goes on computing
            return Turn(may_start=True)
        # Whoever had the reservation before may have ended since the node looked.
        outputs = self._results.find(node, inputs)[1]
        return Turn(may_start=outputs is None, outputs=outputs)

    def next_ones(
        self, startable: Iterable[NodeState], most: int
    ) -> "list[tuple[NodeState, LiteralMap | None]]":
        """Return at most so many nodes whose turn it is, each with its outputs where these are known."""
        found: list[tuple[NodeState, LiteralMap | None]] = []
        for node in startable:
            if not node.plan.serializable:
                found.append((node, None))
            elif (turn := self.ask(node)).may_start or turn.outputs is not None:
                found.append((node, turn.outputs))
            if len(found) == most:
                break
        return found

    def release_ended(self) -> None:
        """Let others have what nodes that have ended had reserved."""
        if not self._held:  # nearly always: this is asked at every step
            return
        for node_id, (key, node) in list(self._held.items()):
            if not node.is_open:
                self._reservations.release(key, self._execution, node_id)
                del self._held[node_id]

    def release_all(self) -> None:
        """Let others have everything: nobody goes on with this execution."""
        for node_id, (key, _) in self._held.items():
            self._reservations.release(key, self._execution, node_id)
        self._held.clear()
