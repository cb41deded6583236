"""The commands of `flyte-nb`: argument parsing, calls of a session, and text or JSON on the terminal."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import (
    BackendError,
    CompileFailed,
    ExecutionFailed,
    FlyteNbError,
    RegistrationFailed,
    RemoteError,
    StorageError,
    UsageError,
)
from flyte_nb.api.version import __version__

if TYPE_CHECKING:
    from flyte_nb.client.views import ExecutionView, Registration
    from flyte_nb.session import Session

DONE, FAILED, WRONG, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 130


def run(argv: "Sequence[str]") -> int:
    """Run the command in `argv`; return the exit code. What a person did wrong is told in a line."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # `flyte-nb … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (UsageError, CompileFailed) as error:
        return _say(error, WRONG)
    except (ExecutionFailed, RegistrationFailed, TimeoutError) as error:
        return _say(error, FAILED)
    except (RemoteError, BackendError, StorageError) as error:
        return _say(error, UNREACHED)
    except FlyteNbError as error:
        return _say(error, FAILED)


def up(options: argparse.Namespace) -> int:
    """Start the local backend, if it does not run."""
    from flyte_nb.admin import daemon

    backend = daemon.ensure(options.home)
    known = _backend_dict(backend)
    _show(
        options,
        known,
        f"The local backend runs at {backend.endpoint} (pid {backend.pid}).\n"
        f"State: {backend.home}\nOther Flyte clients: export FLYTECTL_CONFIG={backend.config_file}",
    )
    return DONE


def down(options: argparse.Namespace) -> int:
    """Stop the local backend; what runs goes on, and is taken up at the next start."""
    from flyte_nb.admin import daemon

    stopped = daemon.stop(options.home)
    _show(options, {"stopped": stopped}, "Stopped." if stopped else "No local backend runs.")
    return DONE


def status(options: argparse.Namespace) -> int:
    """Say what is configured and whether it answers; starts nothing."""
    from flyte_nb.admin import daemon
    from flyte_nb.client.config import find

    config = find(os.environ, home=Path.home(), path=options.config)
    if config is None:
        backend = daemon.status(options.home)
        if backend is None:
            _show(
                options,
                {"backend": "local backend", "answers": False},
                "No local backend runs. `flyte-nb up`, or any notebook, starts it.",
            )
            return UNREACHED
    known = _session(options).status()
    known.pop("notebook"), known.pop("named_by")  # of no meaning in a terminal
    _show(options, known, "\n".join(f"{key}: {value}" for key, value in known.items()))
    return DONE if known["answers"] else UNREACHED


def register(options: argparse.Namespace) -> int:
    """Register what modules, files or notebooks define."""
    from flyte_nb.discovery.modules import ModuleRegistrar, module_of_file

    notebooks = [target for target in options.targets if target.endswith(".ipynb")]
    names = [
        module_of_file(Path(target)) if target.endswith(".py") else target
        for target in options.targets
        if target not in notebooks
    ]
    worst = DONE
    for notebook in notebooks:
        from flyte_nb.notebook_runs import register_notebook

        worst = max(worst, register_notebook(Path(notebook), dry_run=options.dry_run, say=_out))
    if names:
        sys.path.insert(0, os.getcwd())
        entities = ModuleRegistrar(names).load(os.environ)
        if not entities:
            raise UsageError(f"{', '.join(names)} defines no task or workflow.")
        told: Callable[..., None] | None = None if options.output == "json" else _print_entity
        registration = _session(options).register(
            *entities, on_progress=told, dry_run=options.dry_run
        )
        _show(options, _registration_dict(registration), _registered(registration))
        worst = max(worst, DONE if registration.ok else FAILED)
    return worst


def launch(options: argparse.Namespace) -> int:
    """Launch a registered launch plan or task."""
    from flyte_nb.client.inputs import from_text

    session = _session(options)
    interface, _ = session.interface(options.name)
    inputs: dict[str, Any] = {}
    for pair in options.inputs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is no input. Write name=value, e.g. depth=3.")
        variable = interface.inputs.get(name)
        inputs[name] = from_text(text, variable.type) if variable is not None else text
    execution = session.launch(
        options.name, inputs, version=options.version, execution_name=options.execution_name
    )
    if not options.wait:
        _show(options, {"execution": execution.name}, execution.name)
        return DONE
    if options.output == "text":
        _out(execution.name)
    return _follow(options, execution)


def watch(options: argparse.Namespace) -> int:
    """Follow an execution until it has ended."""
    return _follow(options, _session(options).execution(options.name))


def executions(options: argparse.Namespace) -> int:
    """List the latest executions."""
    views = _session(options).executions(options.limit)
    lines = [
        f"{view.id.name:<22}{view.phase:<12}{view.created_at:%Y-%m-%d %H:%M:%S}  {view.entity.name}"
        for view in views
    ]
    _show(options, [_view_dict(view) for view in views], "\n".join(lines) or "No executions.")
    return DONE


def terminate(options: argparse.Namespace) -> int:
    """Abort an execution."""
    _session(options).execution(options.name).terminate(options.cause)
    _show(options, {"terminated": options.name}, f"{options.name} is being aborted.")
    return DONE


def logs(options: argparse.Namespace) -> int:
    """Print what an execution's attempts printed."""
    sys.stdout.write(_session(options).execution(options.name).logs(options.node, options.attempt))
    return DONE


def quickstart(options: argparse.Namespace) -> int:
    """Open the quickstart notebook, or execute it here."""
    from flyte_nb.quickstart import execute_headless, open_in_lab

    if options.headless:
        return execute_headless(options.folder, say=_out)
    return open_in_lab(options.folder)


def version(options: argparse.Namespace) -> int:
    """Print the release."""
    _show(options, {"version": __version__}, f"flyte-nb {__version__}")
    return DONE


def _follow(options: argparse.Namespace, execution: Any) -> int:
    told: dict[str, str] = {}
    for view in execution.watch():
        if options.output == "text":
            for node in view.nodes:
                if told.get(node.node_id) != node.phase:
                    told[node.node_id] = node.phase
                    _out(f"{node.node_id:<12}{node.phase:<12}{node.name}")
    final = execution.wait()  # raises what went wrong, with the task's own error
    outputs = execution.outputs()
    shown = {name: _plain(value) for name, value in outputs.items()}
    text = "\n".join(f"{name} = {value!r}" for name, value in outputs.items())
    _show(options, {**_view_dict(final), "outputs": shown}, f"{final.phase}\n{text}".rstrip())
    return DONE


def _session(options: argparse.Namespace) -> "Session":
    from flyte_nb.session import connect

    return connect(
        options.config,
        project=options.project,
        domain=options.domain,
        name="",
        home=options.home,
    )


def _show(options: argparse.Namespace, document: Any, text: str) -> None:
    _out(json.dumps(document, indent=2, default=str) if options.output == "json" else text)


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error or type(error).__name__}\n")
    return code


def _print_entity(entity: Any) -> None:
    _out(f"{entity.state:<10}{entity.id.resource_type:<12}{entity.id.name}  ({entity.why})")
    for warning in entity.warnings:
        _out(f"          warning: {warning}")


def _registered(registration: "Registration") -> str:
    changed = sum(entity.state in ("new", "changed") for entity in registration.entities)
    return (
        f"{changed} of {len(registration.entities)} registered anew,"
        f" {registration.uploaded_bytes} bytes uploaded, {registration.rpcs} calls,"
        f" {registration.elapsed_s:.2f} s"
    )


def _registration_dict(registration: "Registration") -> "dict[str, Any]":
    return {
        "entities": [
            {**entity.id._asdict(), "state": entity.state, "why": entity.why}
            for entity in registration.entities
        ],
        "uploaded_bytes": registration.uploaded_bytes,
        "rpcs": registration.rpcs,
        "elapsed_s": registration.elapsed_s,
    }


def _view_dict(view: "ExecutionView") -> "dict[str, Any]":
    return {
        "name": view.id.name,
        "entity": view.entity.name,
        "version": view.entity.version,
        "phase": view.phase,
        "created_at": view.created_at.isoformat(),
        "error": view.error._asdict() if view.error is not None else None,
    }


def _backend_dict(backend: Any) -> "dict[str, Any]":
    known = {**backend._asdict(), "home": str(backend.home)}
    known["config_file"] = str(backend.config_file)
    del known["token"]
    return known


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, (int, float, str, bool, list, dict, type(None))) else repr(value)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flyte-nb", description="Flyte from notebooks.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--output", choices=("text", "json"), default="text")
    shared.add_argument("--config", help="a Flyte configuration file")
    shared.add_argument("--project", "-p")
    shared.add_argument("--domain", "-d")
    shared.add_argument("--home", type=Path, help="the local backend's folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: "Callable[[argparse.Namespace], int]") -> argparse.ArgumentParser:
        said = (command.__doc__ or "").splitlines()[0]
        added = commands.add_parser(command.__name__, parents=[shared], help=said, description=said)
        added.set_defaults(command=command)
        return added

    for command in (up, down, status, version):
        add(command)
    registering = add(register)
    registering.add_argument("targets", nargs="+", metavar="TARGET", help="module, .py or .ipynb")
    registering.add_argument("--dry-run", action="store_true", help="only say what would be done")
    launching = add(launch)
    launching.add_argument("name", help="a registered launch plan or task")
    launching.add_argument("inputs", nargs="*", metavar="name=value")
    launching.add_argument("--version", help="default: the latest")
    launching.add_argument("--execution-name")
    launching.add_argument("--wait", action="store_true", help="follow it to its end")
    for command in (watch, terminate, logs):
        named = add(command)
        named.add_argument("name", help="an execution's name")
        if command is terminate:
            named.add_argument("--cause", default="terminated by flyte-nb")
        if command is logs:
            named.add_argument("--node")
            named.add_argument("--attempt", type=int)
    add(executions).add_argument("--limit", type=int, default=20)
    starting = add(quickstart)
    starting.add_argument(
        "--headless", action="store_true", help="execute it here, without a browser"
    )
    starting.add_argument("--folder", type=Path, help="where the notebook is copied to")
    commands.add_parser("execute", help="Run one task; this is what a task's container does.")
    return parser
