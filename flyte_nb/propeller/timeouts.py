"""Decide when an attempt is out of time. Pure.

A task's `timeout` is the time for one attempt, counted from when it began to run. All attempts together
may take twice that.

Source: flytepropeller/pkg/controller/nodes/executor.go at v1.16.8 (execution and active deadline).
"""

from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.propeller.durations import go_duration
from flyte_nb.propeller.state import NodeState


def limit_us(node: NodeState) -> int:
    """Return when the running attempt is out of time, in microseconds since the epoch; 0 means never."""
    timeout = node.plan.timeout_us
    if not timeout or not node.attempt_started_us:
        return 0
    return min(node.attempt_started_us + timeout, node.first_started_us + 2 * timeout)


def expired(node: NodeState) -> ErrorInfo:
    """Return the error of an attempt that was ended because it was out of time. The text is Flyte's."""
    text = f"task execution timeout [{go_duration(node.plan.timeout_us)}] expired"
    return ErrorInfo("TimeoutExpired", text, USER, recoverable=True)


def map_limit_us(node: NodeState) -> int:
    """Return when a map is out of time whose node has a timeout of its own; 0 means never.

    Its elements have the timeout of their task besides.
    """
    timeout = node.plan.timeout_us
    return node.first_started_us + timeout if timeout and node.first_started_us else 0


def map_expired(node: NodeState) -> ErrorInfo:
    """Return the error of a map that was ended because it was out of time. A map has one attempt."""
    text = f"[1/1] currentAttempt done. Last Error: USER::{expired(node).message}"
    return ErrorInfo("RetriesExhausted|TimeoutExpired", text, USER)
