"""A line after `%flyte`, read by the table of commands (`flyte_nb.surface`)."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.executions.notation import NoNotation, end_of_value, is_quoted
from flyte_nb.executions.written import Names
from flyte_nb.surface.command import NOTEBOOK, Command
from flyte_nb.surface.lookup import command


class Arguments(NamedTuple):
    """A parsed line."""

    command: Command
    positionals: "tuple[str, ...]"
    options: "Mapping[str, str]"
    """The given flags without their dashes; a switch has the value `yes`."""
    inputs: "Mapping[str, str]"
    """The text of each input by its name, without its quotes."""
    written: "Mapping[str, str]" = MappingProxyType({})
    """The text of each input by its name, as the line has it; `executions.written` reads it."""
    names: Names = Names()
    """The variables to which the texts can refer."""

    def within(self, names: Names) -> "Arguments":
        """Return the arguments with `{name}` and `$name` replaced, but not in inputs.

        An input keeps its text: the launch reads it with the input's type at hand.
        """
        return self._replace(
            positionals=tuple(map(names.expand, self.positionals)),
            options={flag: names.expand(value) for flag, value in self.options.items()},
            names=names,
        )

    def first(self) -> str:
        """Return the first argument by place, or an empty text."""
        return self.positionals[0] if self.positionals else ""

    def second(self) -> str:
        """Return the second argument by place, or an empty text."""
        return self.positionals[1] if len(self.positionals) > 1 else ""

    def switch(self, name: str) -> bool:
        """Return whether the switch was given."""
        return name in self.options

    def number(self, name: str, default: "int | None" = None) -> "int | None":
        """Return the flag's value as a number, `default` when the flag was not given.

        Raises:
            UsageError: the value is not a whole number.
        """
        if name not in self.options:
            return default
        text = self.options[name]
        if not text.lstrip("-").isdigit():
            raise UsageError(f"--{name} needs a whole number, not {text!r}.")
        return int(text)


def parse(line: str) -> Arguments:
    """Read the line after `%flyte`, without the comment or the `;` at its end.

    Raises:
        UsageError: the command or a flag is unknown, a flag has no value, an input is given twice,
            there are too many arguments, or a quote is left open.
    """
    tokens = _tokens(line)
    row = command(unquoted(tokens.pop(0)) if tokens else "help", NOTEBOOK)
    positionals: list[str] = []
    options: dict[str, str] = {}
    written: dict[str, str] = {}
    while tokens:
        token = tokens.pop(0)
        named = _INPUT.match(token)
        if token in ("--help", "-h", "?"):
            return Arguments(command("help", NOTEBOOK), (row.name,), {}, {})
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
    """Return the parts of the line, split at white space outside of quotes and brackets.

    `shlex` cannot do that: it knows no brackets, and it drops the quotes and backslashes of values.
    """
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        if line[at] == "#":
            break
        # A value may begin after `name=` or `--flag=`; its own quotes and brackets count from there.
        before = _BEFORE_VALUE.match(line, at)
        try:
            end = end_of_value(line, before.end() if before is not None else at)
        except NoNotation:
            raise UsageError(
                f"The line cannot be read from {line[at:]!r} on. Is a quote left open?"
            ) from None
        found.append(line[at:end])
        at = end
    # In a notebook, `;` at the end of a line means that nothing is to be shown.
    while found and found[-1].endswith(";"):
        found[-1] = found[-1].rstrip(";")
        if not found[-1]:
            found.pop()
    return found


def unquoted(text: str) -> str:
    """Return the text without the quotes around it, if it is in quotes as a whole.

    A backslash is dropped only before a quote or another backslash, so that Windows paths survive.
    """
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
