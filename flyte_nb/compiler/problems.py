"""How problems are collected: every one, each once, and whether a part of the work had any."""

from collections.abc import Iterable, Sequence

from flyte_nb.api.problems import Problem

START_NODE = "start-node"
END_NODE = "end-node"

_AT_START = frozenset({"CycleDetected", "UnreachableNodes", "TaskReferenceNotFound"})
"""Codes that Flyte always reports on its start node; ours name the node that has to be mended."""


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

    def add(self, problem: Problem) -> None:
        """Keep the problem, unless an equal one (for Flyte) is known."""
        self.count += 1
        if not problem.entity:
            problem = problem._replace(entity=self.entity)
        key = (problem.code, problem.entity, problem.node_id, problem.flyte_text)
        self._found.setdefault(key, problem)

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """What was found."""
        return tuple(self._found.values())


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
    if problem.code == "WorkflowReferenceNotFound" and "LAUNCH_PLAN" in problem.flyte_text:
        return START_NODE
    if problem.code in ("NodeReferenceNotFound", "NoNodesFound"):
        return problem.flyte_text.partition("[")[2].rpartition("]")[0]
    return problem.node_id


def named(names: "Sequence[str]", limit: int = 8) -> str:
    """Names for a sentence: `a, b and 3 more`."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
