"""`flyte-nb signals`, `signal`, `approve` and `reject`."""

import argparse

from flyte_nb.api.errors import UsageError
from flyte_nb.commands.connections import session_of
from flyte_nb.commands.terminal import DONE, show
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.executions.written import value_of


def signals(options: argparse.Namespace) -> int:
    """List the gates that the run has reached, and what its nodes wait for; return the exit code."""
    execution = session_of(options).execution(options.execution)
    found, waits = execution.signals(), execution.waits()
    lines = [
        f"{each.name:<22}{each.kind:<12}{repr(each.value) if each.is_set else 'not answered'}"
        for each in found
    ]
    lines += [f"{node_id:<22}waits for {text}" for node_id, text in waits.items()]
    document = {
        "signals": [
            {
                "name": each.name,
                "kind": each.kind,
                "is_set": each.is_set,
                "value": repr(each.value) if each.is_set else None,
            }
            for each in found
        ],
        "waits": waits,
    }
    show(options, document, "\n".join(lines) or "No gates.")
    return DONE


def signal(options: argparse.Namespace) -> int:
    """Give gates values; return the exit code.

    Raises:
        UsageError: an argument is not `name=value`, a value does not fit, or there is no such gate.
    """
    session = session_of(options)
    execution = session.execution(options.execution)
    if not options.inputs:
        raise UsageError("Name the gate and its value, e.g. depth=3.")
    for pair in options.inputs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is not an answer. Write name=value, e.g. depth=3.")
        codec = session.registry.codec(session.registry.guess(execution.signal_type(name)))
        try:
            value = value_of(text, codec)
        except Unreadable as error:
            raise UsageError(f"{name} {error}.") from None
        execution.set_signal(name, value)
        show(options, {"set": name}, f"{name} is set.")
    return DONE


def approve(options: argparse.Namespace) -> int:
    """Approve what waits at a gate; return the exit code."""
    session_of(options).execution(options.execution).approve(options.gate)
    show(options, {"approved": options.gate}, f"{options.gate} is approved.")
    return DONE


def reject(options: argparse.Namespace) -> int:
    """Reject what waits at a gate; return the exit code."""
    session_of(options).execution(options.execution).reject(options.gate)
    show(options, {"rejected": options.gate}, f"{options.gate} is rejected.")
    return DONE
