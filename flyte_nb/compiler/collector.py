"""Collect problems: every one, each once, within bounds; and say whether a part of the work had any.

The second half of the module writes problems in the words of Flyte's own compiler.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec

from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.problems import Problem

MAX_ID = 2048
"""Characters of the longest node id. Postgres, a cluster's database, indexes at most 2704 bytes."""

_AT_START = frozenset({"CycleDetected", "UnreachableNodes", "TaskReferenceNotFound"})
"""Codes that Flyte always reports on its start node. Our problems name the node that must be fixed."""


P = ParamSpec("P")


class TooManyProblems(Exception):
    """There are so many problems that the rest of the workflow is not checked."""


class Collector:
    """The problems of a compilation, in the order in which they were found.

    `count` counts every report, also of a problem that is known already. A part of the work is
    sound when the count did not move meanwhile; Flyte's compiler uses nested scopes for the same
    purpose.
    """

    def __init__(self, entity: str = "") -> None:
        self.entity = entity
        """The name of the workflow being compiled; a problem without an entity gets this one."""
        self.count = 0
        self._found: dict[tuple[str, str, str, str], Problem] = {}
        self._length = 0

    def add(self, problem: Problem) -> None:
        """Keep the problem, unless one that Flyte would consider equal is known.

        Raises:
            TooManyProblems: when there are more problems than a person will read.
        """
        self.count += 1
        problem = _cut(problem)
        if not problem.entity:
            problem = problem._replace(entity=self.entity[:_MAX_NAME])
        # Flyte sorts its errors into a set by code and text. Ours have two texts, so equality is
        # decided here.
        key = (problem.code, problem.entity, problem.node_id, problem.flyte_text)
        if self._found.setdefault(key, problem) is problem:
            self._length += len(problem.message) + len(problem.hint) + len(problem.flyte_text)
            if len(self._found) >= _MAX_PROBLEMS or self._length > _MAX_LENGTH:
                self._found["", "", "", ""] = Problem(
                    "TooManyProblems",
                    f"There are more problems than these {len(self._found)}.",
                    hint="Fix these first.",
                    entity=self.entity[:_MAX_NAME],
                )
                raise TooManyProblems

    def report(
        self, make: "Callable[P, Problem]", *arguments: "P.args", **named: "P.kwargs"
    ) -> None:
        """Make the problem with `make` and keep it, as `add` does.

        A `Trial` does not call `make`: texts of problems are costly, and attempts fail by the
        thousand.

        Raises:
            TooManyProblems: as `add`.
        """
        self.add(make(*arguments, **named))

    def names(self, known: "Iterable[str]") -> "list[str] | None":
        """Return names for a message and its hint, sorted; `None` after many problems.

        Sorting thousands of names for each of thousands of problems would take minutes, and nobody
        reads them.
        """
        return sorted(known)[:_MAX_NAMES] if self.count < _MAX_HINTS else None

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Return what was found."""
        return tuple(self._found.values())


class TrialFailed(Exception):
    """A `Trial` met its first problem."""


class Trial(Collector):
    """A collector for an attempt of which only success or failure matters: it stops at the first problem."""

    def add(self, problem: Problem) -> None:
        """End the attempt.

        Raises:
            TrialFailed: always.
        """
        raise TrialFailed

    def report(
        self, make: "Callable[P, Problem]", *arguments: "P.args", **named: "P.kwargs"
    ) -> None:
        """End the attempt without making the problem.

        Raises:
            TrialFailed: always.
        """
        raise TrialFailed

    def names(self, known: "Iterable[str]") -> "list[str] | None":
        """Return `None`: an attempt's problems are not read."""
        return None


# A spec may be 5 MB large and wrong everywhere. These limits bound what is said about it.
_MAX_PROBLEMS = 10_000
_MAX_LENGTH = 20_000_000
"""Characters of all texts together."""
_MAX_TEXT = 6_000
"""Characters of one message, hint or text of Flyte's."""
_MAX_NAME = 500
_MAX_HINTS = 50
"""Problems after which messages no longer list the names that would be right."""
_MAX_NAMES = 300


def _cut(problem: Problem) -> Problem:
    """Return the problem with texts that fit on a screen and names that can be stored."""
    # This runs for every problem, so the usual case costs two comparisons.
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
    """Return the text, or its first `length` characters and an ellipsis."""
    return text if len(text) <= length else text[:length] + "…"


def flyte_error_text(problems: "Iterable[Problem]") -> str:
    """Return the problems as FlytePropeller's compiler prints them; FlyteAdmin's refusals quote this text.

    Each error appears once, sorted by code and then by text.

    Source: flytepropeller/pkg/compiler/errors/error.go and sets.go at v1.16.8.
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
    """Return the id of the node on which Flyte itself reports this problem."""
    if problem.code in _AT_START:
        return START_NODE
    # Flyte finds missing launch plans before it has nodes, and missing sub-workflows at their node.
    if problem.code == "WorkflowReferenceNotFound" and problem.message.startswith(
        "The launch plan "
    ):
        return START_NODE
    if problem.code == "WorkflowBuildError":
        return ""
    # For these codes Flyte puts the id of the missing thing where the node's id belongs.
    if problem.code in ("NodeReferenceNotFound", "NoNodesFound", "NoEntryNodeFound"):
        return problem.flyte_text.partition("[")[2].rpartition("]")[0]
    return problem.node_id


def named(names: "Sequence[str]", limit: int = 8) -> str:
    """Return names for a sentence: `a, b and 3 more`."""
    shown = ", ".join([cut(name, 80) for name in names[:limit]])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
