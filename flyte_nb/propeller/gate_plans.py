"""What a gate node waits for, and when it gives up. Pure.

Source: flytepropeller/pkg/controller/nodes/{gate/handler,executor}.go at v1.16.8.
"""

from typing import NamedTuple

from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import BOOLEAN, LiteralType
from flyteidl.core.workflow_pb2 import GateNode

APPROVE = "approve"
SIGNAL = "signal"
SLEEP = "sleep"


class GatePlan(NamedTuple):
    """The condition of a gate node."""

    kind: str
    """`APPROVE`, `SIGNAL` or `SLEEP`."""
    signal_id: str = ""
    """The signal that opens the gate; empty for a sleep."""
    type: LiteralType = LiteralType()
    """The type of the signal's value: boolean for an approval."""
    output: str = ""
    """For a signal, the name of the output that gets its value."""
    sleep_us: int = 0


def gate_of(node: GateNode) -> "GatePlan | None":
    """Return the gate's condition; `None` when it has none."""
    condition = node.WhichOneof("condition")
    if condition == "approve":
        return GatePlan(APPROVE, node.approve.signal_id, LiteralType(simple=BOOLEAN))
    if condition == "signal":
        signal = node.signal
        return GatePlan(SIGNAL, signal.signal_id, signal.type, signal.output_variable_name)
    if condition == "sleep":
        duration = node.sleep.duration
        slept = int(duration.seconds) * 1_000_000 + int(duration.nanos) // 1000
        return GatePlan(SLEEP, sleep_us=max(0, slept))
    return None


def approval(value: Literal) -> "bool | None":
    """Return whether the value approves; `None` when it is no boolean."""
    if value.scalar.primitive.WhichOneof("value") != "boolean":
        return None
    return bool(value.scalar.primitive.boolean)
