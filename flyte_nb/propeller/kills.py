"""End attempts, each once. For one thread, the driver's."""

from collections.abc import Iterable

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.ports import AttemptKey, Executor
from flyte_nb.propeller.state import NodeState


class Kills:
    """The attempts of one execution that are being ended and have not been reported."""

    def __init__(self, execution: ExecutionId, machine: Machine, executor: Executor) -> None:
        self._execution = execution
        self._machine = machine
        self._executor = executor
        self._killed: set[AttemptKey] = set()

    def kill(self, node: NodeState) -> None:
        """Begin to end the node's attempt; a second call does nothing."""
        key = AttemptKey(self._execution, node.node_id, node.attempt)
        if key not in self._killed:
            self._killed.add(key)
            self._executor.kill(key)

    def kill_doomed(self, waiting: "Iterable[NodeState]") -> None:
        """Begin to end the attempts that have to end, except those `waiting` to be started.

        The executor does not know those.
        """
        if not self._machine.has_doomed:
            return
        unknown = {node.node_id for node in waiting}
        for node in self._machine.doomed():
            if node.node_id not in unknown:
                self.kill(node)

    def take(self, key: AttemptKey) -> bool:
        """Return whether an attempt that was reported was being ended, and forget it."""
        if key not in self._killed:
            return False
        self._killed.discard(key)
        return True
