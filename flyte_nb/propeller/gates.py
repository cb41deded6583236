"""Moves the gate nodes of one execution on: asks for their signals, and lets them go when it is time.

A gate that waits takes no turn of the driver. A value that was set for a signal is announced (`signalled`),
and the times at which a sleep ends or patience runs out are in a heap. Both rest on what is durable: values
on the port `Signals`, times on the record that the node began to wait. So nothing is lost in a restart.

Source: flytepropeller/pkg/controller/nodes/{gate/handler,executor}.go at v1.16.8.
"""

import heapq
from collections.abc import Iterable

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, ErrorInfo, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.durations import go_duration
from flyte_nb.propeller.gate_plans import APPROVE, SLEEP, GatePlan, approval
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.ports import Signals, SignalTypeDiffers
from flyte_nb.propeller.state import NodeState

_REJECTED = ErrorInfo(
    "ReceivedRejectSignal", "received a reject signal to disapprove the node input values", USER
)


class Gates:
    """The gate nodes of one execution. For one thread."""

    def __init__(
        self,
        execution: ExecutionId,
        machine: Machine,
        outbox: Outbox,
        layout: DataLayout,
        values: Values,
        signals: Signals,
    ) -> None:
        self._execution = execution
        self._machine = machine
        self._outbox = outbox
        self._layout = layout
        self._values = values
        self._signals = signals
        self._times: list[tuple[int, str]] = []
        """A heap of `(time in µs, node id)`: when to look at a waiting node again."""
        self._listening: dict[str, dict[str, NodeState]] = {}
        """By signal: the nodes that wait for it, by node id."""
        self._to_look_at: dict[str, NodeState] = {}
        """Nodes whose signal was set, or whose time has come."""

    def enter(self, node: NodeState) -> None:
        """Let a queued gate node pass at once, or begin to wait.

        Raises:
            StorageError: when its signal or its outputs cannot be read or written now.
        """
        gate = _condition(node)
        if gate.signal_id and self._looked(node, gate):
            return
        self._outbox.add(self._machine.wait(node, self._outbox.now_us()))
        self._watch(node)

    def resume(self) -> None:
        """Watch the nodes that wait, after a replay. Signals may have been set meanwhile."""
        for node in self._machine.gates.values():
            self._watch(node)
            self._to_look_at[node.node_id] = node

    def signalled(self, signal_id: str) -> None:
        """Look, in the next step, at the nodes that wait for this signal: it has got a value."""
        self._to_look_at |= self._listening.get(signal_id, {})

    def due_us(self) -> "int | None":
        """Return when to look at a waiting node again; `None` when there is no such time."""
        while self._times and self._times[0][1] not in self._machine.gates:
            heapq.heappop(self._times)  # it has ended
        return self._times[0][0] if self._times else None

    def proceed(self, now_us: int) -> None:
        """Move on every node whose signal was set or whose time has come; it does nothing for the others.

        A node whose outputs cannot be written now is tried again later (`Outbox.retry_at_us`).
        """
        while (due := self.due_us()) is not None and due <= now_us:
            node = self._machine.gates[heapq.heappop(self._times)[1]]
            self._to_look_at[node.node_id] = node
        for node_id, node in list(self._to_look_at.items()):
            if node_id in self._machine.gates:
                try:
                    self._look_at(node, now_us)
                except StorageError as error:
                    if not self._outbox.gives_up_on(error):
                        return
                    self._reject(node, "WriteOutputsFailed", f"the gate cannot open: {error}")
            del self._to_look_at[node_id]

    def _look_at(self, node: NodeState, now_us: int) -> None:
        """Let a waiting node pass or fail if it can. Propeller asks in this order."""
        gate = _condition(node)
        if gate.signal_id and self._looked(node, gate):
            return
        if gate.kind == SLEEP and now_us >= node.first_started_us + gate.sleep_us:
            self._outbox.add(self._machine.finish(node, self._outbox.now_us(), ""))
            return
        expiry = _expiry(node)
        if expiry is None or now_us < expiry:
            return
        if node.plan.max_attempts > 1:
            # Every attempt waits anew, so all of them together run out of time before their number does.
            text = f"task active timeout [{go_duration(2 * node.plan.timeout_us)}] expired"
            error = ErrorInfo("TimeoutExpired", text, USER)
            self._outbox.add(self._machine.time_out(node, self._outbox.now_us(), error))
            return
        limit = go_duration(node.plan.timeout_us)
        text = (
            f"[1/1] currentAttempt done. Last Error: USER::task execution timeout [{limit}] expired"
        )
        self._reject(node, "RetriesExhausted|TimeoutExpired", text, USER)

    def _looked(self, node: NodeState, gate: GatePlan) -> bool:
        """Ask for the node's signal; return whether the node has ended by it."""
        try:
            value = self._signals.get_or_create(self._execution, gate.signal_id, gate.type)
        except SignalTypeDiffers as error:
            self._reject(node, "RuntimeExecutionError", str(error))
            return True
        if value is None:
            return False
        if gate.kind == APPROVE:
            self._approve(node, value)
        else:
            self._pass(node, LiteralMap(literals={gate.output: value}))
        return True

    def _approve(self, node: NodeState, value: Literal) -> None:
        approved = approval(value)
        if approved is None:
            text = f"received a non-boolean approve signal value [{go_text(value)}]"
            self._reject(node, "RuntimeExecutionError", text, UNKNOWN)
        elif approved:
            # What was approved is what goes on.
            self._pass(node, self._values.get(node.input_uri))
        else:
            self._outbox.add(self._machine.reject(node, self._outbox.now_us(), _REJECTED))

    def _pass(self, node: NodeState, outputs: LiteralMap) -> None:
        uri = self._layout.outputs(node)
        # Stored before it is recorded: a reader of the record finds the outputs there.
        self._values.put(uri, outputs)
        self._outbox.add(self._machine.finish(node, self._outbox.now_us(), uri))

    def _reject(self, node: NodeState, code: str, text: str, origin: str = SYSTEM) -> None:
        error = ErrorInfo(code, text, origin)
        self._outbox.add(self._machine.reject(node, self._outbox.now_us(), error))

    def _watch(self, node: NodeState) -> None:
        gate = _condition(node)
        times = [_expiry(node)]
        if gate.kind == SLEEP:
            times.append(node.first_started_us + gate.sleep_us)
        else:
            self._listening.setdefault(gate.signal_id, {})[node.node_id] = node
        for time_us in times:
            if time_us is not None:
                heapq.heappush(self._times, (time_us, node.node_id))

    def inputs_of(self, node: NodeState) -> LiteralMap:
        """Return what waits at a gate to be approved.

        Raises:
            StorageError: when it cannot be read now.
        """
        return self._values.get(node.input_uri)

    def refuse(self, node: NodeState, error: ErrorInfo) -> None:
        """Let a waiting node fail: nobody can open it."""
        self._outbox.add(self._machine.reject(node, self._outbox.now_us(), error))

    def waiting(self) -> "Iterable[NodeState]":
        """Return the nodes that wait, in the order in which they began to."""
        return self._machine.gates.values()


def _condition(node: NodeState) -> GatePlan:
    if node.plan.gate is None:
        raise ValueError(f"Node {node.node_id} is no gate.")
    return node.plan.gate


def _expiry(node: NodeState) -> "int | None":
    """Return when the patience of a waiting node ends, in microseconds; `None` means never.

    One attempt may take `timeout`, counted from when it began; all together twice that, counted from when
    the node was queued.
    """
    timeout = node.plan.timeout_us
    if not timeout:
        return None
    if node.plan.max_attempts > 1:
        return node.queued_us + 2 * timeout
    return node.first_started_us + timeout
