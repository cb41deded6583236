"""The commands of `%flyte` as a table: parsing, help and tab completion read the same rows."""

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.executions.notation import NoNotation, end_of_value, is_quoted
from flyte_nb.executions.written import Names

TEXT = "TEXT"
NUMBER = "N"
EXECUTION = "EXECUTION"
ENTITY = "ENTITY"
NODE = "NODE"
COMMAND = "COMMAND"
ENGINE = "ENGINE"


class Option(NamedTuple):
    """One flag; `takes` names what follows it, empty for a switch."""

    flag: str
    takes: str
    help: str


class Positional(NamedTuple):
    """One argument by place; what it names, and whether it may be repeated."""

    takes: str
    many: bool = False


class Command(NamedTuple):
    """One sub-command of `%flyte`."""

    name: str
    help: str
    positionals: "tuple[Positional, ...]" = ()
    options: "tuple[Option, ...]" = ()
    takes_inputs: bool = False
    """Whether `name=value` arguments are inputs."""

    @property
    def usage(self) -> str:
        """One line, e.g. `%flyte logs [EXECUTION] [NODE] [--tail N]`."""
        parts = [f"%flyte {self.name}"]
        parts += [f"[{p.takes}{' …' if p.many else ''}]" for p in self.positionals]
        parts += ["[input=value …]"] if self.takes_inputs else []
        parts += [f"[{o.flag}{' ' + o.takes if o.takes else ''}]" for o in self.options]
        return " ".join(parts)


class Arguments(NamedTuple):
    """A parsed line."""

    command: Command
    positionals: "tuple[str, ...]"
    options: "Mapping[str, str]"
    """Given flags without their dashes; a switch has the value `yes`."""
    inputs: "Mapping[str, str]"
    """By name, the text without its quotes."""
    written: "Mapping[str, str]" = MappingProxyType({})
    """By name, the text as it stands in the line; `executions.written` reads it."""
    names: Names = Names()
    """What the texts can refer to."""

    def within(self, names: Names) -> "Arguments":
        """Return the arguments with `{name}` and `$name` replaced in all that is no input."""
        return self._replace(
            positionals=tuple(map(names.expand, self.positionals)),
            options={flag: names.expand(value) for flag, value in self.options.items()},
            names=names,
        )

    def first(self) -> str:
        """The first argument by place, or an empty text."""
        return self.positionals[0] if self.positionals else ""

    def second(self) -> str:
        """The second argument by place, or an empty text."""
        return self.positionals[1] if len(self.positionals) > 1 else ""

    def switch(self, name: str) -> bool:
        """Whether the switch was given."""
        return name in self.options

    def number(self, name: str, default: "int | None" = None) -> "int | None":
        """The flag's value as a number.

        Raises:
            UsageError: The value is not a whole number.
        """
        if name not in self.options:
            return default
        text = self.options[name]
        if not text.lstrip("-").isdigit():
            raise UsageError(f"--{name} needs a whole number, not {text!r}.")
        return int(text)


COMMANDS: "tuple[Command, ...]" = (
    Command(
        "connect",
        "choose where to register and launch",
        options=(
            Option("--project", TEXT, "the project"),
            Option("--domain", TEXT, "the domain"),
            Option("--name", TEXT, "what this notebook is called; its entities are NAME.function"),
            Option("--config", TEXT, "a Flyte configuration file"),
            Option("--backend", TEXT, "auto, or local for the local backend"),
        ),
    ),
    Command(
        "compile",
        "compile what the notebook defines, or only what is named; sends nothing",
        (Positional(ENTITY, many=True),),
    ),
    Command(
        "register",
        "register what the notebook defines, or only what is named",
        (Positional(ENTITY, many=True),),
        (
            Option("--dry-run", "", "show what would happen, change nothing"),
            Option("--restage", "", "stage again what is missing or damaged of registered code"),
        ),
    ),
    Command(
        "bundle",
        "what travels with each task: sizes, why, what changed since it was registered, warnings",
        (Positional(ENTITY, many=True),),
    ),
    Command(
        "launch",
        "launch with the given inputs; without inputs, a form",
        (Positional(ENTITY),),
        (
            Option("--form", "", "show the form even if inputs were given"),
            Option("--version", TEXT, "a registered version; the default is the code as it is now"),
            Option("--execution-name", TEXT, "what the execution is called"),
        ),
        takes_inputs=True,
    ),
    Command(
        "watch",
        "follow an execution live; the last one when none is named",
        (Positional(EXECUTION),),
        (Option("--wait", "", "return when it has ended; a failed execution fails the cell"),),
    ),
    Command(
        "graph",
        "a workflow's graph to look into; without NAME, the one defined last",
        (Positional(ENTITY),),
        (
            Option("--open", "NODE,…", "open these nodes: ids or names; `all` for everything"),
            Option("--depth", NUMBER, "open everything, down to so many levels"),
            Option("--types", "", "write the types on the arrows"),
            Option("--diff", "", "compare with what is registered: new, changed, removed"),
            Option("--engine", ENGINE, "layered (needs nothing) or dot (Graphviz)"),
            Option("--save", "FILE", "write it instead: .svg, .png, .html, .dot, .mmd or .txt"),
        ),
    ),
    Command("executions", "list executions", (), (Option("--limit", NUMBER, "how many"),)),
    Command(
        "terminate",
        "end an execution, after a question",
        (Positional(EXECUTION),),
        (Option("--yes", "", "do not ask"), Option("--cause", TEXT, "why, for the record")),
    ),
    Command(
        "logs",
        "what the attempts printed",
        (Positional(EXECUTION), Positional(NODE)),
        (Option("--attempt", NUMBER, "counted from 1"), Option("--tail", NUMBER, "last N lines")),
    ),
    Command("status", "where we are connected, and how it is there"),
    Command("help", "this list, or one command", (Positional(COMMAND),)),
)


EXAMPLES = """\
%flyte launch train depth=3 url="https://…"
%flyte graph train --depth 1 --save train.png
%flyte logs f3a9c n0 --tail 20"""


def overview() -> str:
    """All commands with their usage, e.g. for `%flyte?`."""
    rows = "\n".join(f"{row.usage}\n    {row.help}" for row in COMMANDS)
    return f"{rows}\n\nExamples:\n{EXAMPLES}"


def command(name: str) -> Command:
    """The command of that name.

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    for row in COMMANDS:
        if row.name == name:
            return row
    near = difflib.get_close_matches(name, [row.name for row in COMMANDS], n=1)
    advice = f"Did you mean %flyte {near[0]}?" if near else "%flyte help lists them."
    raise UsageError(f"%flyte has no command {name!r}. {advice}")


def parse(line: str) -> Arguments:
    """The line after `%flyte`. A comment and a `;` at its end are no arguments.

    Raises:
        UsageError: An unknown command or flag, a flag without its value, an input that is given twice,
            or too many arguments.
    """
    tokens = _tokens(line)
    row = command(unquoted(tokens.pop(0)) if tokens else "help")
    positionals: list[str] = []
    options: dict[str, str] = {}
    written: dict[str, str] = {}
    while tokens:
        token = tokens.pop(0)
        named = _INPUT.match(token)
        if token in ("--help", "-h", "?"):
            return Arguments(command("help"), (row.name,), {}, {})
        if token.startswith("--"):
            name, value = _option(row, token, tokens)
            options[name] = value
        elif row.takes_inputs and named is not None:
            name = named[1]
            if name in written:
                raise UsageError(f"The input {name} is given twice.")
            written[name] = token[named.end() :]
        else:
            positionals.append(unquoted(token))
    _check_count(row, positionals)
    inputs = {name: unquoted(text) for name, text in written.items()}
    return Arguments(row, tuple(positionals), options, inputs, written)


_INPUT = re.compile(r"([^\W\d]\w*)=")
_BEFORE_VALUE = re.compile(r"--[\w-]+=|[^\W\d]\w*=")
_ESCAPED = re.compile(r"\\([\\'\"])")


def _tokens(line: str) -> "list[str]":
    """Return what stands in the line, apart by white space outside of quotes and brackets."""
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        if line[at] == "#":
            break
        before = _BEFORE_VALUE.match(line, at)
        try:
            end = end_of_value(line, before.end() if before is not None else at)
        except NoNotation:
            raise UsageError(
                f"The line cannot be read from {line[at:]!r} on. Is a quote left open?"
            ) from None
        found.append(line[at:end])
        at = end
    while found and found[-1].endswith(";"):
        found[-1] = found[-1].rstrip(";")
        if not found[-1]:
            found.pop()
    return found


def unquoted(text: str) -> str:
    """Return what is in the quotes, if the whole text is in quotes; backslashes there are kept."""
    if not is_quoted(text) or text[:1] not in ("'", '"'):
        return text
    quotes = 3 if text[:3] in ("'''", '"""') and len(text) >= 6 else 1
    return _ESCAPED.sub(r"\1", text[quotes:-quotes])


def _option(row: Command, token: str, rest: "list[str]") -> "tuple[str, str]":
    flag, has_value, value = token.partition("=")
    for option in row.options:
        if option.flag == flag:
            if not option.takes:
                if has_value:
                    raise UsageError(f"{flag} takes no value. {row.usage}")
                return flag[2:], "yes"
            if not has_value:
                if not rest or rest[0].startswith("--"):
                    raise UsageError(f"{flag} needs a value: {flag} {option.takes}.")
                value = rest.pop(0)
            return flag[2:], unquoted(value)
    known = ", ".join(option.flag for option in row.options) or "no flags"
    advice = f" Inputs are written without dashes: {flag[2:]}=…" if row.takes_inputs else ""
    raise UsageError(f"%flyte {row.name} has no flag {flag}; it knows {known}.{advice}")


def _check_count(row: Command, positionals: "list[str]") -> None:
    if any(p.many for p in row.positionals) or len(positionals) <= len(row.positionals):
        return
    extra = positionals[len(row.positionals)]
    advice = " Inputs are written name=value." if row.takes_inputs else ""
    raise UsageError(f"{extra!r} is one argument too many.{advice} {row.usage}")
