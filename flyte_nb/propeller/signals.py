"""Signals of executions in this process: for runs in a kernel, and for tests."""

import threading
from collections.abc import Callable

from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import LiteralType

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import SignalTypeDiffers


class MemorySignals:
    """Implements `ports.Signals` without a store. Thread-safe."""

    def __init__(self) -> None:
        self._signals: dict[tuple[ExecutionId, str], tuple[LiteralType, Literal | None]] = {}
        self._lock = threading.Lock()
        self._wake: Callable[[ExecutionId, str], None] = lambda execution, signal_id: None

    def listen(self, wake: "Callable[[ExecutionId, str], None]") -> None:
        """Call `wake` from now on whenever a signal gets a value."""
        self._wake = wake

    def get_or_create(
        self, execution: ExecutionId, signal_id: str, type: LiteralType
    ) -> "Literal | None":
        """Return the signal's value, or `None` when it has none yet; the signal exists afterwards.

        Raises:
            SignalTypeDiffers: when there is a signal of this id with another type.
        """
        with self._lock:
            known, value = self._signals.setdefault((execution, signal_id), (type, None))
        if known != type:
            raise SignalTypeDiffers.of(signal_id)
        return value

    def set(self, execution: ExecutionId, signal_id: str, value: Literal) -> None:
        """Give a signal a value. It must be one that a gate has asked for.

        Raises:
            KeyError: when there is no such signal.
        """
        with self._lock:
            type_, _ = self._signals[execution, signal_id]
            self._signals[execution, signal_id] = (type_, value)
        self._wake(execution, signal_id)
