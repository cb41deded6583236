"""Problems as values: what is wrong, where, and what would work. All of them are shown at once."""

from collections.abc import Iterable
from typing import NamedTuple

from flyte_nb.api.specs import Location


class Problem(NamedTuple):
    """One thing that keeps something from compiling, registering or launching."""

    code: str
    """Flyte's compiler error code where there is one (`MismatchingTypes`), else a name of ours."""
    message: str
    """What is wrong, as a sentence for a person."""
    node_id: str = ""
    variable: str = ""
    hint: str = ""
    """What to do, e.g. `Write depth=3.`"""
    location: "Location | None" = None
    entity: str = ""
    """Name of the task or workflow it belongs to."""
    flyte_text: str = ""
    """The text of Flyte's own compiler, which other clients parse; empty where it has none."""


def unique(problems: "Iterable[Problem]") -> "tuple[Problem, ...]":
    """Return each problem once, in order. A task in several workflows has its problems in each of them."""
    return tuple(dict.fromkeys(problems))


def as_text(problems: Iterable[Problem]) -> str:
    """Return the problems as numbered lines, for `text/plain`, logs and terminals."""
    lines = []
    for number, problem in enumerate(problems, start=1):
        place = ".".join(
            part for part in (problem.entity, problem.node_id, problem.variable) if part
        )
        where = (
            f" ({problem.location.filename}:{problem.location.line})" if problem.location else ""
        )
        hint = f" {problem.hint}" if problem.hint else ""
        lines.append(f"{number}. {place + ': ' if place else ''}{problem.message}{hint}{where}")
    return "\n".join(lines)
