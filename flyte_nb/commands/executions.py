"""`flyte-nb launch`, `relaunch`, `recover`, `watch`, `executions`, `terminate` and `logs`."""

import argparse
import sys
from typing import Any

from flyte_nb.api import visible
from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.problems import Problem
from flyte_nb.commands.connections import session_of
from flyte_nb.commands.terminal import DONE, out, show
from flyte_nb.executions.execution import Execution
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.executions.inputs import wrong_names
from flyte_nb.executions.nodes import node_line
from flyte_nb.executions.views import ExecutionView
from flyte_nb.executions.written import value_of
from flyte_nb.session.session import Session

_CAUSE = "terminated by flyte-nb"


def launch(options: argparse.Namespace) -> int:
    """Launch a registered launch plan or task; return the exit code.

    Raises:
        UsageError: an argument is not `name=value`, or an input is given twice.
        CompileFailed: inputs are unknown, missing, or not values of their types.
        ExecutionFailed: with `--wait`, the execution failed.
    """
    session = session_of(options)
    inputs = _read_inputs(options, session)
    execution = session.launch(
        options.entity, inputs, version=options.version, execution_name=options.execution_name
    )
    return _launched(options, execution)


def relaunch(options: argparse.Namespace) -> int:
    """Launch an execution again, with its inputs; return the exit code.

    Raises:
        ExecutionFailed: with `--wait`, the new execution failed.
    """
    former = session_of(options).execution(options.execution)
    again = former.relaunch(options.execution_name, overwrite_cache=options.overwrite_cache)
    return _launched(options, again)


def recover(options: argparse.Namespace) -> int:
    """Launch an execution again without what succeeded in it; return the exit code.

    Raises:
        ExecutionFailed: with `--wait`, the new execution failed.
    """
    former = session_of(options).execution(options.execution)
    return _launched(options, former.recover(options.execution_name))


def _launched(options: argparse.Namespace, execution: Execution) -> int:
    """Print the name of a new execution; with `--wait`, follow it."""
    if not options.wait:
        show(options, {"execution": execution.name}, execution.name)
        return DONE
    if options.output == "text":
        out(execution.name)
    return _follow(options, execution)


def _read_inputs(options: argparse.Namespace, session: Session) -> "dict[str, Any]":
    """Return the inputs by name, read as in the line of `%flyte launch`.

    Raises:
        UsageError: an argument is not `name=value`, or an input is given twice.
        CompileFailed: texts are not values of their types; `problems` has every one.
    """
    interface, defaults = session.interface(options.entity)
    inputs: dict[str, Any] = {}
    problems = []
    for pair in options.inputs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is not an input. Write name=value, e.g. depth=3.")
        if name in inputs:
            raise UsageError(f"The input {name} is given twice.")
        inputs[name] = text
        variable = interface.inputs.get(name)
        if variable is None:
            continue  # launching reports every unknown input at once
        try:
            inputs[name] = value_of(
                text, session.registry.codec(session.registry.guess(variable.type))
            )
        except Unreadable as error:
            message = f"The input {name} {error}."
            problems.append(
                Problem("ValueDoesNotFit", message, variable=name, entity=options.entity)
            )
    if problems:
        # The launch is not reached, so its complaints about names come here.
        problems += wrong_names(
            inputs, entity=options.entity, inputs=interface.inputs, optional=defaults
        )
        raise CompileFailed(f"{options.entity} cannot be launched with these inputs.", problems)
    return inputs


def watch(options: argparse.Namespace) -> int:
    """Print each node as it moves until the execution has ended, then its outputs; return the exit code.

    Raises:
        ExecutionFailed: the execution failed; the error is its task's.
    """
    return _follow(options, session_of(options).execution(options.execution))


def executions(options: argparse.Namespace) -> int:
    """List the latest executions; return the exit code."""
    views = session_of(options).executions(options.limit)
    lines = [
        f"{view.id.name:<22}{view.phase:<12}{view.created_at:%Y-%m-%d %H:%M:%S}  {view.entity.name}"
        for view in views
    ]
    show(options, [_view_dict(view) for view in views], "\n".join(lines) or "No executions.")
    return DONE


def terminate(options: argparse.Namespace) -> int:
    """Abort an execution; return the exit code."""
    session_of(options).execution(options.execution).terminate(options.cause or _CAUSE)
    show(options, {"terminated": options.execution}, f"{options.execution} is being aborted.")
    return DONE


def logs(options: argparse.Namespace) -> int:
    """Print what an execution's attempts printed; return the exit code."""
    # People count attempts from 1, FlyteAdmin from 0.
    attempt = None if options.attempt is None else options.attempt - 1
    text = session_of(options).execution(options.execution).logs(options.node, attempt)
    sys.stdout.write(visible.log(text))
    return DONE


def _follow(options: argparse.Namespace, execution: Execution) -> int:
    phase_of: dict[str, str] = {}
    for view in execution.watch():
        if options.output == "text":
            for node in view.nodes:
                if phase_of.get(node.node_id) != node.phase:
                    phase_of[node.node_id] = node.phase
                    out(node_line(node))
    final = execution.wait()  # raises the task's own error
    outputs = execution.outputs()
    shown = {name: _plain(value) for name, value in outputs.items()}
    text = "\n".join(f"{name} = {value!r}" for name, value in outputs.items())
    show(options, {**_view_dict(final), "outputs": shown}, f"{final.phase}\n{text}".rstrip())
    return DONE


def _view_dict(view: ExecutionView) -> "dict[str, Any]":
    return {
        "name": view.id.name,
        "entity": view.entity.name,
        "version": view.entity.version,
        "phase": view.phase,
        "created_at": view.created_at.isoformat(),
        "error": view.error._asdict() if view.error is not None else None,
    }


def _plain(value: object) -> object:
    """Return the value if JSON has it, else its `repr`."""
    return (
        value if isinstance(value, (int, float, str, bool, list, dict, type(None))) else repr(value)
    )
