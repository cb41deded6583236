"""The commands of `flyte-nb`: argument parsing, calls of a session, and text or JSON on the terminal."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

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
from flyte_nb.commands.backend import down, status, up
from flyte_nb.commands.bundles import arguments as bundle_arguments
from flyte_nb.commands.bundles import bundle
from flyte_nb.commands.compiling import compile  # noqa: A004 - the command is called so
from flyte_nb.commands.executions import executions, launch, logs, terminate, watch
from flyte_nb.commands.registering import register
from flyte_nb.commands.serializing import serialize
from flyte_nb.commands.targets import HELP
from flyte_nb.commands.terminal import (
    DONE,
    FAILED,
    INTERRUPTED,
    UNREACHED,
    WRONG,
    out,
    say,
    show,
)


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
        return say(error, WRONG)
    except (ExecutionFailed, RegistrationFailed, TimeoutError) as error:
        return say(error, FAILED)
    except (RemoteError, BackendError, StorageError) as error:
        return say(error, UNREACHED)
    except FlyteNbError as error:
        return say(error, FAILED)


def quickstart(options: argparse.Namespace) -> int:
    """Open the quickstart notebook, or execute it here."""
    from flyte_nb.quickstart import execute_headless, open_in_lab

    if options.headless:
        return execute_headless(options.folder, say=out)
    return open_in_lab(options.folder)


def version(options: argparse.Namespace) -> int:
    """Print the release."""
    show(options, {"version": __version__}, f"flyte-nb {__version__}")
    return DONE


Add = Callable[[Callable[[argparse.Namespace], int]], argparse.ArgumentParser]
"""Adds a command by its function, whose name and first line it gets."""


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
    _add_defining(add)
    _add_running(add)
    bundle_arguments(add(bundle))
    starting = add(quickstart)
    starting.add_argument(
        "--headless", action="store_true", help="execute it here, without a browser"
    )
    starting.add_argument("--folder", type=Path, help="where the notebook is copied to")
    commands.add_parser("execute", help="Run one task; this is what a task's container does.")
    return parser


def _add_defining(add: Add) -> None:
    """What reads definitions: register, compile, serialize."""
    registering = add(register)
    registering.add_argument("targets", nargs="+", metavar="TARGET", help=HELP)
    registering.add_argument("--version", help="of specs that say none; default: by content")
    registering.add_argument("--dry-run", action="store_true", help="only say what would be done")
    registering.add_argument(
        "--bake",
        type=Path,
        metavar="FOLDER",
        help="write the bundles to this folder, to be copied into the image, and upload nothing",
    )
    registering.add_argument(
        "--baked-at",
        default="/opt/flyte_nb/bundles",
        metavar="PATH",
        help="where the image has that folder (default: %(default)s)",
    )
    compiling = add(compile)
    compiling.add_argument("targets", nargs="+", metavar="TARGET", help=HELP)
    compiling.add_argument("--version", help="of specs that say none; default: by content")
    compiling.add_argument(
        "--remote", action="store_true", help="look for what specs refer to on FlyteAdmin, too"
    )
    compiling.add_argument(
        "--closure-dir", "-o", type=Path, help="where to write compiled workflows (.pb and .json)"
    )
    compiling.add_argument(
        "--graph", type=Path, metavar="FILE", help="draw the workflows (.svg, .png, .html, .dot, …)"
    )
    serializing = add(serialize)
    serializing.add_argument("targets", nargs="+", metavar="TARGET", help=HELP)
    serializing.add_argument(
        "--folder", "-o", type=Path, required=True, help="a folder, or a package: NAME.tgz"
    )
    serializing.add_argument("--version", help="of everything; default: by content")
    serializing.add_argument(
        "--staging",
        metavar="URI",
        help="where code is staged that tasks load, e.g. s3://bucket/path",
    )


def _add_running(add: Add) -> None:
    """What starts executions and looks at them."""
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
