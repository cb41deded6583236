"""The parser of the command line, made by argparse from the table of commands."""

import argparse
from typing import NoReturn

from flyte_nb.api.errors import UsageError
from flyte_nb.surface.command import TERMINAL, Command, Option, Positional
from flyte_nb.surface.lookup import commands
from flyte_nb.surface.table import FOR_EVERY_COMMAND

_START = """\
start here:
  flyte-nb quickstart                       a notebook that runs at once, in JupyterLab
  flyte-nb compile pipeline.py              what is wrong with it; nothing is sent
  flyte-nb register pipeline.py             register what it defines
  flyte-nb launch pipeline.train depth=3 --wait

Without a configuration (--config, FLYTECTL_CONFIG, ~/.flyte/config.yaml, FLYTE_PLATFORM_URL) a local
backend is started and used. `flyte-nb COMMAND --help` shows what a command takes.

exit codes: 0 done; 1 the run or the registration failed, or there are problems; 2 called wrongly;
  3 FlyteAdmin, or a store, cannot be reached or refused; 130 interrupted.
With --output json there is one JSON document on stdout, also when something fails: `ok`, `exit_code`,
`error` and `problems`. Text for people is on stderr then."""


def parser() -> argparse.ArgumentParser:
    """Return the parser. It raises `UsageError` for a wrong line, where argparse's own would exit.

    The parsed options have the chosen row of the table as `command`, and each argument by its name:
    `--closure-dir` as `closure_dir`, `TARGET …` as `targets`, `name=value …` as `inputs`.
    """
    made = _Parser(
        prog=TERMINAL,
        description="Flyte from notebooks, modules and spec files.",
        epilog=_START,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = _Parser(add_help=False)
    group = shared.add_argument_group("for every command")
    for option in FOR_EVERY_COMMAND:
        _add_option(group, option)
    chosen = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in commands(TERMINAL):
        if command.reads_its_own_line:
            chosen.add_parser(command.name, help=command.help)
            continue
        examples = command.side.examples
        added = chosen.add_parser(
            command.name,
            parents=[shared],
            help=command.help,
            description=command.help,
            epilog="\n  ".join(("examples:", *examples)) if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command)
        _fill(added, command)
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the error that `run` prints as text or JSON; argparse would print it and exit."""
        raise UsageError(f"{self.prog}: {message}. `{self.prog} --help` shows what it takes.")


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    for positional in command.positionals:
        _add_positional(parser, positional)
    if command.takes_inputs:
        parser.add_argument(
            "inputs",
            nargs="*",
            default=(),
            metavar="name=value",
            help="inputs, as Python or JSON or as text",
        )
    for option in command.options:
        _add_option(parser, option)


def _add_positional(parser: argparse.ArgumentParser, positional: Positional) -> None:
    how_many = "*" if positional.many else None if positional.required else "?"
    # Without a default, argparse calls `TARGET …` required when something else is missing.
    default = () if positional.many else None
    parser.add_argument(
        positional.key,
        nargs=how_many,
        default=default,
        metavar=None if positional.choices else positional.takes,
        choices=positional.choices or None,
        help=_escaped(positional.help),
    )


def _add_option(to: argparse._ActionsContainer, option: Option) -> None:
    flags = [option.flag, option.short] if option.short else [option.flag]
    if not option.takes:
        to.add_argument(*flags, action="store_true", help=_escaped(option.help))
        return
    to.add_argument(
        *flags,
        type=option.reads,
        default=option.default,
        required=option.required,
        metavar=None if option.choices else option.takes,
        choices=option.choices or None,
        help=_escaped(option.explained),
    )


def _escaped(text: str) -> str:
    """Return the text as argparse takes help: it formats it with `%`."""
    return text.replace("%", "%%")
