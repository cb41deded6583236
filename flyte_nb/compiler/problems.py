"""How problems are collected: every one, each once, and whether a part of the work had any."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.problems import Problem

MAX_ID = 2048
"""Longest id of a node. A cluster's database cannot index longer ones either (Postgres: 2704 bytes)."""

_AT_START = frozenset({"CycleDetected", "UnreachableNodes", "TaskReferenceNotFound"})
"""Codes that Flyte always reports on its start node; ours name the node that has to be mended."""


class Enough(Exception):
    """So many problems that the rest is left alone."""


class Collector:
    """Problems in the order in which they were found.

    `count` counts every report, also of a problem that is known already: a part of the work is
    sound when the count did not move meanwhile (Flyte's scopes).
    """

    def __init__(self, entity: str = "") -> None:
        self.entity = entity
        """Name of the workflow at hand; it goes into each problem that has none."""
        self.count = 0
        self._found: dict[tuple[str, str, str, str], Problem] = {}
        self._length = 0

    def add(self, problem: Problem) -> None:
        """Keep the problem, unless an equal one (for Flyte) is known.

        Raises:
            Enough: when there are more than anybody will read.
        """
        self.count += 1
        problem = _cut(problem)
        if not problem.entity:
            problem = problem._replace(entity=self.entity[:_MAX_NAME])
        key = (problem.code, problem.entity, problem.node_id, problem.flyte_text)
        if self._found.setdefault(key, problem) is problem:
            self._length += len(problem.message) + len(problem.hint) + len(problem.flyte_text)
            if len(self._found) >= _MAX_PROBLEMS or self._length > _MAX_LENGTH:
                self._found["", "", "", ""] = Problem(
                    "TooManyProblems",
                    f"There are more problems than these {len(self._found)}.",
                    hint="Mend these first.",
                    entity=self.entity[:_MAX_NAME],
                )
                raise Enough

    def say(self, report: "Callable[..., Problem]", *arguments: Any) -> None:
        """Make the problem and keep it; see `add`."""
        self.add(report(*arguments))

    def names(self, known: "Iterable[str]") -> "list[str] | None":
        """Names for a message and its hint, sorted; `None` after many problems: a look costs time."""
        return sorted(known)[:_MAX_NAMES] if self.count < _MAX_HINTS else None

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """What was found."""
        return tuple(self._found.values())


class Failed(Exception):
    """What a `Trial` raises."""


class Trial(Collector):
    """For an attempt of which only the outcome counts: it ends at its first problem."""

    def add(self, problem: Problem) -> None:
        """End the attempt."""
        raise Failed

    def say(self, report: "Callable[..., Problem]", *arguments: Any) -> None:
        """End the attempt."""
        raise Failed

    def names(self, known: "Iterable[str]") -> "list[str] | None":
        """Nothing: nobody will read it."""
        return None


# A spec may be 5 MB large and wrong everywhere: what is said of it must stay within bounds.
_MAX_PROBLEMS = 10_000
_MAX_LENGTH = 20_000_000
_MAX_TEXT = 6_000
_MAX_NAME = 500
_MAX_HINTS = 50
_MAX_NAMES = 300


def _cut(problem: Problem) -> Problem:
    """The problem with texts that fit on a screen and names that fit on a line."""
    _, message, node_id, variable, hint, _, _, flyte_text = problem
    if max(len(message), len(hint), len(flyte_text)) > _MAX_TEXT:
        problem = problem._replace(
            message=cut(message, _MAX_TEXT),
            hint=cut(hint, _MAX_TEXT),
            flyte_text=cut(flyte_text, _MAX_TEXT),
        )
    if max(len(node_id), len(variable)) > MAX_ID:
        problem = problem._replace(node_id=node_id[:MAX_ID], variable=variable[:MAX_ID])
    return problem


def cut(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[:length] + "…"


def flyte_error_text(problems: "Iterable[Problem]") -> str:
    """The problems as FlytePropeller's compiler prints them; admin's refusals quote this text.

    Source: flytepropeller/pkg/compiler/errors/error.go and sets.go at v1.16.8 (each error once,
    sorted by code, then by text).
    """
    lines = sorted(
        {
            (problem.code, f"Code: {problem.code}, Node Id: {flyte_node_id(problem)},"
             f" Description: {problem.flyte_text or problem.message}")
            for problem in problems
        }
    )  # fmt: skip
    text = [f"Collected Errors: {len(lines)}"]
    text.extend(f"\tError {number}: {line}" for number, (_, line) in enumerate(lines))
    return "\n".join(text) + "\n"


def flyte_node_id(problem: Problem) -> str:
    """The node on which Flyte itself reports this problem."""
    if problem.code in _AT_START:
        return START_NODE
    if problem.code == "WorkflowReferenceNotFound" and problem.message.startswith(
        "The launch plan "
    ):
        return START_NODE
    if problem.code == "WorkflowBuildError":
        return ""
    if problem.code in ("NodeReferenceNotFound", "NoNodesFound", "NoEntryNodeFound"):
        return problem.flyte_text.partition("[")[2].rpartition("]")[0]
    return problem.node_id


def named(names: "Sequence[str]", limit: int = 8) -> str:
    """Names for a sentence: `a, b and 3 more`."""
    shown = ", ".join([cut(name, 80) for name in names[:limit]])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
