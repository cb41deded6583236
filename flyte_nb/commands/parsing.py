"""The command line of `flyte-nb`: what each command takes, says about itself, and shows as an example."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from flyte_nb.api.errors import UsageError
from flyte_nb.commands.backend import down, status, up
from flyte_nb.commands.bundles import arguments as bundle_arguments
from flyte_nb.commands.bundles import bundle
from flyte_nb.commands.compiling import compile  # noqa: A004 - the command is called so
from flyte_nb.commands.executions import executions, launch, logs, terminate, watch
from flyte_nb.commands.registering import register
from flyte_nb.commands.serializing import serialize
from flyte_nb.commands.starting import quickstart, version
from flyte_nb.commands.targets import HELP

Command = Callable[[argparse.Namespace], int]
Add = Callable[[Command], argparse.ArgumentParser]
"""Adds a command by its function, whose name it gets."""

_SAID: "dict[Command, str]" = {
    bundle: "Look after staged bundles: list them, verify their bytes, remove what nobody needs.",
    compile: "Compile modules, notebooks and specs here; nothing is sent.",
    down: "Stop the local backend; what runs goes on, and is taken up at the next start.",
    executions: "List the latest executions.",
    launch: "Launch a registered launch plan or task.",
    logs: "Print what an execution's attempts printed.",
    quickstart: "Open the quickstart notebook, or execute it here.",
    register: "Register what modules, notebooks or spec files define.",
    serialize: "Write specs that flytectl and flyte-nb register.",
    status: "Say what is configured and whether it answers; starts nothing.",
    terminate: "Abort an execution.",
    up: "Start the local backend, if it does not run.",
    version: "Print the release.",
    watch: "Follow an execution until it has ended.",
}
"""What each command does. Not its docstring: `python -OO` has none."""

_START = """\
start here:
  flyte-nb quickstart                       a notebook that runs at once, in JupyterLab
  flyte-nb compile pipeline.py              what is wrong with it; nothing is sent
  flyte-nb register pipeline.py             register what it defines
  flyte-nb launch pipeline.train depth=3 --wait

Without a configuration (--config, FLYTECTL_CONFIG, ~/.flyte/config.yaml, FLYTE_PLATFORM_URL) a local
backend is started and used. `flyte-nb COMMAND --help` says more.

exit codes: 0 done; 1 what was asked for failed, or there are problems; 2 called wrongly;
  3 FlyteAdmin, or a store, cannot be reached or refused; 130 interrupted.
With --output json there is one JSON document on stdout, also when something fails: `ok`, `exit_code`,
`error` and `problems`; what is for people is on stderr then."""

_EXAMPLES: "dict[Command, tuple[str, ...]]" = {
    compile: (
        "flyte-nb compile pipeline.py notebook.ipynb specs/",
        "flyte-nb compile shop.yaml --output json",
        "flyte-nb compile package.tgz --graph shop.svg -o compiled/",
    ),
    register: (
        "flyte-nb register pipeline.py --dry-run",
        "flyte-nb register shop.yaml --version v1 -p shop -d production",
        "flyte-nb register pipeline.py --bake bundles",
    ),
    serialize: (
        "flyte-nb serialize pipeline.py -o package.tgz --staging s3://bucket/code",
        "flyte-nb serialize notebook.ipynb -o specs/ --version v1",
    ),
    launch: (
        'flyte-nb launch pipeline.train depth=3 names=\'["a", "b"]\' --wait',
        "flyte-nb launch pipeline.clean --version 4kq2…",
    ),
    watch: ("flyte-nb watch f3a9c",),
    logs: ("flyte-nb logs f3a9c --node n0",),
    terminate: ("flyte-nb terminate f3a9c --cause 'wrong input'",),
    executions: ("flyte-nb executions --limit 5 --output json",),
    bundle: (
        "flyte-nb bundle list",
        "flyte-nb bundle verify s3://bucket/code",
        "flyte-nb bundle gc --older-than 48 --yes",
    ),
    quickstart: ("flyte-nb quickstart --headless",),
}


def parser() -> argparse.ArgumentParser:
    """What reads the command line. It raises `UsageError` for a wrong call."""
    made = _Parser(
        prog="flyte-nb",
        description="Flyte from notebooks, modules and spec files.",
        epilog=_START,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = _shared()
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(command: Command) -> argparse.ArgumentParser:
        said = _SAID[command]
        examples = _EXAMPLES.get(command, ())
        added = commands.add_parser(
            command.__name__,
            parents=[shared],
            help=said,
            description=said,
            epilog="\n  ".join(("examples:", *examples)) if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command)
        return added

    starting = add(quickstart)
    starting.add_argument(
        "--headless", action="store_true", help="execute it here, without a browser"
    )
    starting.add_argument("--folder", type=Path, help="where the notebook is copied to")
    _add_defining(add)
    _add_running(add)
    bundle_arguments(add(bundle))
    for command in (up, down, status, version):
        add(command)
    commands.add_parser("execute", help="Run one task; this is what a task's container does.")
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise what `run` tells people and machines, where argparse would print and exit."""
        raise UsageError(f"{self.prog}: {message}. `{self.prog} --help` shows what it takes.")


def _shared() -> "_Parser":
    """What every command takes."""
    made = _Parser(add_help=False)
    group = made.add_argument_group("for every command")
    group.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="text for people, or one JSON document for machines (default: text)",
    )
    group.add_argument(
        "--config", metavar="FILE", help="a Flyte configuration, as flytectl reads it"
    )
    group.add_argument("--project", "-p", help="default: the configuration's, else flytesnacks")
    group.add_argument("--domain", "-d", help="default: the configuration's, else development")
    group.add_argument(
        "--home",
        type=Path,
        metavar="FOLDER",
        help="the local backend's folder, and use that backend (default: FLYTE_NB_HOME)",
    )
    return made


def _add_targets(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"{HELP}; registrars of installed packages are always asked, too",
    )


def _add_defining(add: Add) -> None:
    """What reads definitions: compile, register, serialize."""
    compiling = add(compile)
    _add_targets(compiling)
    compiling.add_argument("--version", help="of specs that say none (default: by content)")
    compiling.add_argument(
        "--remote", action="store_true", help="look for what specs refer to on FlyteAdmin, too"
    )
    compiling.add_argument(
        "--closure-dir",
        "-o",
        type=Path,
        metavar="FOLDER",
        help="write compiled workflows there (.pb and .json), when all is well",
    )
    compiling.add_argument(
        "--graph", type=Path, metavar="FILE", help="draw the workflows (.svg, .png, .html, .dot, …)"
    )
    registering = add(register)
    _add_targets(registering)
    registering.add_argument("--version", help="of specs that say none (default: by content)")
    registering.add_argument("--dry-run", action="store_true", help="only say what would be done")
    registering.add_argument(
        "--restage",
        action="store_true",
        help="look also at the staged code of what is registered already, and stage again what is"
        " missing or damaged",
    )
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
    serializing = add(serialize)
    _add_targets(serializing)
    serializing.add_argument(
        "--folder", "-o", type=Path, required=True, help="a folder, or a package: NAME.tgz"
    )
    serializing.add_argument("--version", help="of everything (default: by content)")
    serializing.add_argument(
        "--staging",
        metavar="URI",
        help="where code is staged that tasks load, e.g. s3://bucket/path"
        " (default: FLYTE_NB_STAGING, else FOLDER.staged beside the folder)",
    )


def _add_running(add: Add) -> None:
    """What starts executions and looks at them."""
    launching = add(launch)
    launching.add_argument("name", help="a registered launch plan or task")
    launching.add_argument(
        "inputs", nargs="*", metavar="name=value", help="inputs, as Python or JSON or as text"
    )
    launching.add_argument("--version", help="of what is launched (default: the latest)")
    launching.add_argument(
        "--execution-name", metavar="NAME", help="of the execution (default: made up)"
    )
    launching.add_argument(
        "--wait", action="store_true", help="follow it to its end; exit code 1 when it fails"
    )
    for command in (watch, terminate, logs):
        named = add(command)
        named.add_argument("name", help="an execution's name")
        if command is terminate:
            named.add_argument(
                "--cause",
                default="terminated by flyte-nb",
                help="what is noted as the reason (default: %(default)s)",
            )
        if command is logs:
            named.add_argument("--node", help="only of this node, e.g. n0 (default: all)")
            named.add_argument(
                "--attempt", type=int, help="only of this attempt, counted from 1 (default: all)"
            )
    add(executions).add_argument(
        "--limit", type=int, default=20, help="at most so many (default: %(default)s)"
    )
