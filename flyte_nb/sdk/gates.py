"""Gates: nodes at which a workflow waits, for a person's approval, for a value, or for a time."""

import sys
from datetime import timedelta

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import ApproveNode, NodeMetadata, SignalNode, SleepNode
from flyte_nb.sdk import context
from flyte_nb.sdk.option_values import seconds
from flyte_nb.sdk.promise import Outputs, Promise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyte_nb.sdk.frames import Frame

_HOUR = 3600.0
"""How long a gate waits when its author says nothing: flytekit's default."""

_OUTPUT = "o0"


def wait_for_input(
    name: str, timeout: "timedelta | float | None", expected_type: object
) -> "Promise | Outputs":
    """Wait until somebody gives a value, and return a promise of it.

    In the run, a person answers in the live card or with `%flyte signal RUN NAME VALUE`, and a program with
    `execution.set_signal(name, value)`.

    Args:
        name: the signal's name, by which the value is given.
        timeout: how long to wait at most, as a timedelta or in seconds; `None` for an hour.
        expected_type: the Python type of the value.

    Raises:
        UsageError: it is called outside of a workflow, or an argument is wrong.
    """
    frame = _frame("wait_for_input")
    codec = frame.registry.codec(expected_type)
    target = SignalNode(_name(name), codec.literal_type, _OUTPUT)
    return frame.gate(
        target,
        NodeMetadata(name, timeout_s=_patience(timeout)),
        sys._getframe(1),
        output=(_OUTPUT, codec.literal_type),
        label=f"wait_for_input({name!r})",
    )


def approve(
    upstream_item: object, name: str, timeout: "timedelta | float | None" = None
) -> "Promise | Outputs":
    """Wait until somebody approves a value, and return a promise of the value itself.

    What is rejected fails, and with it the workflow.

    Args:
        upstream_item: one output of a call.
        name: the signal's name, by which it is approved or rejected.
        timeout: how long to wait at most, as a timedelta or in seconds; `None` for an hour.

    Raises:
        UsageError: it is called outside of a workflow, or an argument is wrong.
    """
    frame = _frame("approve")
    if isinstance(upstream_item, Outputs) and len(upstream_item) == 1:
        upstream_item = upstream_item[0]
    if not isinstance(upstream_item, Promise):
        raise UsageError(
            f"approve({upstream_item!r}, {name!r}): give it one output of a call, as in"
            " approve(fit(n=1), 'ok')."
        )
    reference = upstream_item._reference
    if not reference.node_id:
        raise UsageError(
            f"approve({upstream_item._label}, {name!r}): Flyte approves outputs of calls, and this is an"
            " input of the workflow. Pass it through a task."
        )
    return frame.gate(
        ApproveNode(_name(name)),
        NodeMetadata(name, timeout_s=_patience(timeout)),
        sys._getframe(1),
        approved=upstream_item,
        output=(reference.var, upstream_item._type),
        label=f"approve({name!r})",
    )


def sleep(duration: "timedelta | float") -> "Promise | Outputs":
    """Wait for a time. What comes after it is written with `>>`.

    Args:
        duration: a timedelta, or seconds.

    Raises:
        UsageError: it is called outside of a workflow, or an argument is wrong.
    """
    frame = _frame("sleep")
    length = seconds(duration)
    # flytekit's gates wait for an hour at most. A sleep that is longer must not end by that.
    metadata = NodeMetadata("sleep-gate", timeout_s=_HOUR if length < _HOUR else None)
    return frame.gate(SleepNode(length), metadata, sys._getframe(1), label="sleep()")


def _frame(function: str) -> "Frame":
    frame: Frame | None = context.frame.get()
    if frame is None:
        raise UsageError(
            f"{function}() is a step of a workflow: write it in a function with @workflow or @dynamic."
        )
    return frame


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"A gate is answered by its name, which is {name!r}. Write a text.")
    return name


def _patience(timeout: "timedelta | float | None") -> float:
    return _HOUR if timeout is None else seconds(timeout)
