"""Reservations for tasks with `cache_serialize`: one of several equal calls computes, the others wait.

Flyte keeps reservations in its catalog service, where owners extend them and lose them after a time.
Here one engine runs every execution that uses a catalog. So reservations are kept in memory, end with
their owner, and are taken again when the engine adopts attempts after a restart.
"""

from collections.abc import Iterable
from typing import NamedTuple

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.literal_store import Values, inputs_at
from flyte_nb.propeller.results import Results
from flyte_nb.propeller.state import NodeState


class Reservations:
    """The catalog keys for which a node computes the result, each with that node. For one thread."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[ExecutionId, str]] = {}
        self._waiting: dict[str, set[ExecutionId]] = {}  # by key: who asked for it in vain
        self._freed: dict[ExecutionId, None] = {}

    def take_freed(self) -> list[ExecutionId]:
        """Return the executions that may ask again since the last call: what they asked for is free."""
        freed, self._freed = list(self._freed), {}
        return freed

    def take(self, key: str, execution: ExecutionId, node_id: str) -> bool:
        """Reserve `key` if it is free; return whether that node has it now."""
        # Asking and taking are one step, and an owner that asks again keeps its key.
        has = self._owners.setdefault(key, (execution, node_id)) == (execution, node_id)
        if not has:
            self._waiting.setdefault(key, set()).add(execution)
        return has

    def owner(self, key: str) -> tuple[ExecutionId, str]:
        """Return the execution and the node that have reserved `key`.

        Raises:
            KeyError: when it is free.
        """
        return self._owners[key]

    def release(self, key: str, execution: ExecutionId, node_id: str) -> None:
        """Free `key`. Nothing happens when another node has it."""
        if self._owners.get(key) == (execution, node_id):
            del self._owners[key]
            # Sorted: a simulation that is repeated has to go the same way.
            self._freed |= dict.fromkeys(sorted(self._waiting.pop(key, ())))


class Turn(NamedTuple):
    """The answer to a node that asked whether it may start."""

    may_start: bool
    outputs: "LiteralMap | None" = None
    """The result, if another node has computed it meanwhile. The node needs no attempt then."""


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
        self.blocked: dict[str, tuple[ExecutionId, str]] = {}
        """By the id of a node that asked in the last step and has to wait: who computes its result."""

    @property
    def is_waiting(self) -> bool:
        """Return whether a node that asked in the last step waits for another one's result."""
        return bool(self.blocked)

    def ask(self, node: NodeState) -> Turn:
        """Return whether an attempt at the node may start. If it may not, it has to ask again later."""
        if not node.plan.serializable or node.node_id in self._held:
            return Turn(may_start=True)
        try:
            inputs = inputs_at(node, self._values)
        except StorageError:
            # Starting the attempt reads the inputs again, and reports the failure.
            return Turn(may_start=True)
        key = self._results.key(node, inputs)
        if not key:
            return Turn(may_start=True)
        if not self._reservations.take(key, self._execution, node.node_id):
            self.blocked[node.node_id] = self._reservations.owner(key)
            return Turn(may_start=False)
        # The key is kept, so that releasing it needs neither the inputs nor the store.
        self._held[node.node_id] = (key, node)
        if node.attempts:
            # The engine restarted while the node's attempt was running: the node goes on computing.
            return Turn(may_start=True)
        # The node looked into the catalog when it was queued. The former owner may have put a result
        # there since.
        outputs = self._results.find(node, inputs).outputs
        return Turn(may_start=outputs is None, outputs=outputs)

    def next_ones(
        self, startable: Iterable[NodeState], most: int
    ) -> "list[tuple[NodeState, LiteralMap | None]]":
        """Return at most `most` nodes that may go on, each with its outputs if they are known already.

        Nodes that have to wait do not count: they must not keep others from the slots.
        """
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
        """Free what nodes that have ended had reserved."""
        if not self._held:  # the usual case, and every step asks
            return
        for node_id, (key, node) in list(self._held.items()):
            # A node is open between its attempts too, so it keeps the key until its last one has ended.
            if not node.is_open:
                self._reservations.release(key, self._execution, node_id)
                del self._held[node_id]

    def release_all(self) -> None:
        """Free everything: the execution has ended, or nobody goes on with it."""
        for node_id, (key, _) in self._held.items():
            self._reservations.release(key, self._execution, node_id)
        self._held.clear()
