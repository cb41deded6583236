"""`flyte-nb launch`, `watch`, `executions`, `terminate` and `logs`."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api import visible
from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.problems import Problem
from flyte_nb.commands.terminal import DONE, out, session_of, show

if TYPE_CHECKING:
    from flyte_nb.executions.views import ExecutionView
    from flyte_nb.session.session import Session


def launch(options: argparse.Namespace) -> int:
    """Launch a registered launch plan or task."""
    session = session_of(options)
    inputs = _read_inputs(options, session)
    execution = session.launch(
        options.name, inputs, version=options.version, execution_name=options.execution_name
    )
    if not options.wait:
        show(options, {"execution": execution.name}, execution.name)
        return DONE
    if options.output == "text":
        out(execution.name)
    return _follow(options, execution)


def _read_inputs(options: argparse.Namespace, session: "Session") -> "dict[str, Any]":
    """Return the inputs by name, read as in a magic's line.

    Raises:
        UsageError: an argument is no input, or an input is given twice.
        CompileFailed: texts are no values of their types; `problems` has every one.
    """
    from flyte_nb.executions.field_text import Unreadable
    from flyte_nb.executions.inputs import wrong_names
    from flyte_nb.executions.written import value_of

    interface, defaults = session.interface(options.name)
    inputs: dict[str, Any] = {}
    problems = []
    for pair in options.inputs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is no input. Write name=value, e.g. depth=3.")
        if name in inputs:
            raise UsageError(f"The input {name} is given twice.")
        inputs[name] = text
        variable = interface.inputs.get(name)
        if variable is None:
            continue  # the launch names every unknown input
        try:
            inputs[name] = value_of(
                text, session.registry.codec(session.registry.guess(variable.type))
            )
        except Unreadable as error:
            said = f"The input {name} {error}."
            problems.append(Problem("ValueDoesNotFit", said, variable=name, entity=options.name))
    if problems:
        problems += wrong_names(
            inputs, entity=options.name, inputs=interface.inputs, optional=defaults
        )
        raise CompileFailed(f"{options.name} cannot be launched with these inputs.", problems)
    return inputs


def watch(options: argparse.Namespace) -> int:
    """Follow an execution until it has ended."""
    return _follow(options, session_of(options).execution(options.name))


def executions(options: argparse.Namespace) -> int:
    """List the latest executions."""
    views = session_of(options).executions(options.limit)
    lines = [
        f"{view.id.name:<22}{view.phase:<12}{view.created_at:%Y-%m-%d %H:%M:%S}  {view.entity.name}"
        for view in views
    ]
    show(options, [_view_dict(view) for view in views], "\n".join(lines) or "No executions.")
    return DONE


def terminate(options: argparse.Namespace) -> int:
    """Abort an execution."""
    session_of(options).execution(options.name).terminate(options.cause)
    show(options, {"terminated": options.name}, f"{options.name} is being aborted.")
    return DONE


def logs(options: argparse.Namespace) -> int:
    """Print what an execution's attempts printed."""
    attempt = None if options.attempt is None else options.attempt - 1
    text = session_of(options).execution(options.name).logs(options.node, attempt)
    sys.stdout.write(visible.log(text))
    return DONE


def _follow(options: argparse.Namespace, execution: Any) -> int:
    told: dict[str, str] = {}
    for view in execution.watch():
        if options.output == "text":
            for node in view.nodes:
                if told.get(node.node_id) != node.phase:
                    told[node.node_id] = node.phase
                    out(f"{node.node_id:<12}{node.phase:<12}{node.name}")
    final = execution.wait()  # raises what went wrong, with the task's own error
    outputs = execution.outputs()
    shown = {name: _plain(value) for name, value in outputs.items()}
    text = "\n".join(f"{name} = {value!r}" for name, value in outputs.items())
    show(options, {**_view_dict(final), "outputs": shown}, f"{final.phase}\n{text}".rstrip())
    return DONE


def _view_dict(view: "ExecutionView") -> "dict[str, Any]":
    return {
        "name": view.id.name,
        "entity": view.entity.name,
        "version": view.entity.version,
        "phase": view.phase,
        "created_at": view.created_at.isoformat(),
        "error": view.error._asdict() if view.error is not None else None,
    }


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, (int, float, str, bool, list, dict, type(None))) else repr(value)
    )
