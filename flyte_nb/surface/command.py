"""The records of the table: a command, what it takes, and how each front end has it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

NOTEBOOK = "%flyte"
TERMINAL = "flyte-nb"
"""The front ends, by what a person types."""

# What an argument names. Completion in a notebook offers entities, executions, nodes and commands.
ENTITY = "ENTITY"
EXECUTION = "EXECUTION"
NODE = "NODE"
COMMAND = "COMMAND"


class Option(NamedTuple):
    """One flag of a command."""

    flag: str
    takes: str
    """A word for the value that follows, e.g. `FOLDER`; empty for a switch."""
    help: str
    only: str = ""
    """The one front end that has the option; empty when both have it."""
    short: str = ""
    """A second spelling, e.g. `-o`, on the command line."""
    reads: "Callable[[str], object]" = str
    """Makes the value from its text on the command line; raises `ValueError` for a wrong text."""
    default: "str | int | None" = None
    required: bool = False
    choices: "tuple[str, ...]" = ()
    """Every value that the option can take, if they are few."""

    @property
    def explained(self) -> str:
        """The help text with the default."""
        return self.help if self.default is None else f"{self.help} (default: {self.default})"


class Positional(NamedTuple):
    """One argument by place."""

    takes: str
    """What the argument names, e.g. `EXECUTION`."""
    help: str = ""
    only: str = ""
    many: bool = False
    """Whether it may be repeated."""
    required: bool = False
    """Whether the command line insists on it. A notebook never does: it takes the last one."""
    choices: "tuple[str, ...]" = ()

    @property
    def key(self) -> str:
        """The name by which the command's function gets it, e.g. `targets`."""
        return f"{self.takes.lower()}{'s' if self.many else ''}"


class Side(NamedTuple):
    """What one front end says of a command, and the function that does it there."""

    help: str
    """One sentence. It is here and not the function's docstring, because `python -OO` has none."""
    function: str
    """The function's dotted name. Its module is imported when the command is chosen, not before."""
    examples: "tuple[str, ...]" = ()


class Command(NamedTuple):
    """A command as one front end has it."""

    front_end: str
    name: str
    side: Side
    positionals: "tuple[Positional, ...]" = ()
    options: "tuple[Option, ...]" = ()
    takes_inputs: bool = False
    """Whether `name=value` arguments are inputs of an execution."""
    reads_its_own_line: bool = False
    """Whether the function gets the arguments as they were typed."""

    @property
    def help(self) -> str:
        """One sentence that says what the command does."""
        return self.side.help

    @property
    def usage(self) -> str:
        """One line, e.g. `%flyte logs [EXECUTION] [NODE] [--tail N]`."""
        parts = [f"{self.front_end} {self.name}"]
        parts += [f"[{p.takes}{' …' if p.many else ''}]" for p in self.positionals]
        parts += ["[input=value …]"] if self.takes_inputs else []
        parts += [f"[{o.flag}{' ' + o.takes if o.takes else ''}]" for o in self.options]
        return " ".join(parts)

    def function(self) -> "Callable[..., Any]":
        """Import the command's module and return the function that does the command."""
        module, _, name = self.side.function.rpartition(".")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found


class Row(NamedTuple):
    """One command of the table, with all that either front end has of it."""

    name: str
    notebook: "Side | None" = None
    terminal: "Side | None" = None
    positionals: "tuple[Positional, ...]" = ()
    options: "tuple[Option, ...]" = ()
    takes_inputs: bool = False
    reads_its_own_line: bool = False

    def seen_from(self, front_end: str) -> "Command | None":
        """Return the command as `front_end` has it; `None` when it does not have the command."""
        side = self.notebook if front_end == NOTEBOOK else self.terminal
        if side is None:
            return None
        return Command(
            front_end=front_end,
            name=self.name,
            side=side,
            positionals=tuple(p for p in self.positionals if p.only in ("", front_end)),
            options=tuple(o for o in self.options if o.only in ("", front_end)),
            takes_inputs=self.takes_inputs,
            reads_its_own_line=self.reads_its_own_line,
        )
