"""`%flyte signals`, `signal`, `approve` and `reject`: answer the gates of an execution."""

from flyte_nb.api.errors import UsageError
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.executions.signals import SignalView
from flyte_nb.executions.written import value_of
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import ExecutionPort


def signals(kernel: Kernel, arguments: Arguments) -> None:
    """Show the gates that the run has reached, and what its nodes wait for.

    Raises:
        UsageError: No name was given, and nothing was launched yet.
        RemoteError: There is no such execution, or FlyteAdmin cannot be reached.
    """
    execution = kernel.execution(arguments.first())
    name = execution.view().id.name
    lines = [f"`{each.name}`: {state_of(each)}" for each in execution.signals()]
    lines += [f"{node_id} waits for {text}." for node_id, text in execution.waits().items()]
    kernel.output().show(
        at_rest.note(f"Gates of {name}" if lines else f"{name} has no gates.", lines)
    )


def state_of(signal: SignalView) -> str:
    """Return a signal's state as a person reads it."""
    if signal.kind == "approval":
        if not signal.is_set:
            return "waits for approval"
        return "approved" if signal.value else "rejected"
    return f"= {signal.value!r}" if signal.is_set else "waits for a value"


def signal(kernel: Kernel, arguments: Arguments) -> None:
    """Give gates the values that the line names.

    Raises:
        UsageError: No value was given, one does not fit, or there is no such gate.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
    """
    if not arguments.written:
        raise UsageError("Name the gate and its value: %flyte signal depth=3.")
    execution = kernel.execution(arguments.first())
    registry = kernel.session.registry
    for name, text in arguments.written.items():
        codec = registry.codec(registry.guess(execution.signal_type(name)))
        try:
            value = value_of(text, codec, arguments.names)
        except Unreadable as error:
            raise UsageError(f"{name} {error}.") from None
        execution.set_signal(name, value)
    _say(kernel, execution, f"{', '.join(arguments.written)} set")


def approve(kernel: Kernel, arguments: Arguments) -> None:
    """Approve what waits at a gate.

    Raises:
        UsageError: No gate was named, or there is no such gate.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
    """
    execution, gate = _gate(kernel, arguments)
    execution.approve(gate)
    _say(kernel, execution, f"{gate} approved")


def reject(kernel: Kernel, arguments: Arguments) -> None:
    """Reject what waits at a gate.

    Raises:
        UsageError: No gate was named, or there is no such gate.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
    """
    execution, gate = _gate(kernel, arguments)
    execution.reject(gate)
    _say(kernel, execution, f"{gate} rejected")


def _gate(kernel: Kernel, arguments: Arguments) -> "tuple[ExecutionPort, str]":
    """Return the execution and the gate: a single argument is a gate of the last execution."""
    first, second = arguments.first(), arguments.second()
    if not first:
        raise UsageError(f"Name the gate: %flyte {arguments.command.name} review.")
    return kernel.execution(first if second else ""), second or first


def _say(kernel: Kernel, execution: ExecutionPort, text: str) -> None:
    kernel.output().show(at_rest.note(f"{execution.view().id.name}: {text}."))
