"""The commands of one front end: all of them, one by its name, and the overview."""

import difflib
from functools import lru_cache

from flyte_nb.api.errors import UsageError
from flyte_nb.surface.command import Command
from flyte_nb.surface.table import ROWS


@lru_cache(maxsize=2)
def commands(front_end: str) -> "tuple[Command, ...]":
    """Return the commands that `front_end` has, in the table's order."""
    seen = (row.seen_from(front_end) for row in ROWS)
    return tuple(command for command in seen if command is not None)


def command(name: str, front_end: str) -> Command:
    """Return the command of that name.

    Raises:
        UsageError: `front_end` has no such command. The message names the nearest one.
    """
    known = {each.name: each for each in commands(front_end)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {front_end} {near[0]}?" if near else f"{front_end} help lists them."
    raise UsageError(f"{front_end} has no command {name!r}. {advice}")


def overview(front_end: str) -> str:
    """Return every command with its usage and its help, and the examples, e.g. for `%flyte?`."""
    known = commands(front_end)
    rows = "\n".join(f"{each.usage}\n    {each.help}" for each in known)
    examples = "\n".join(example for each in known for example in each.side.examples)
    return f"{rows}\n\nExamples:\n{examples}"
