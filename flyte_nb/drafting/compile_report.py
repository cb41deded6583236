"""Compile everything at once: each entity with its problems, and one verdict. Nothing is sent."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.nodes import ADDED_NODES
from flyte_nb.api.ports import DataAccess, Entity
from flyte_nb.api.problems import Problem, unique
from flyte_nb.api.specs import Location, WorkflowTemplate
from flyte_nb.compiler.digests import digest
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.draft import Draft, Lookup
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.types.registry import Registry

OK, WRONG, BLOCKED = "ok", "problems", "blocked"


class CompiledEntity(NamedTuple):
    """One entity as it compiled."""

    draft: Draft
    state: str
    """`ok`, `problems`, or `blocked`: only something that it uses has problems."""

    @property
    def id(self) -> Identifier:
        """Its identifier. Code was not packed, so the version of an SDK entity means nothing."""
        return self.draft.id

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Its own problems."""
        return self.draft.problems

    @property
    def location(self) -> Location:
        """Where it was written."""
        return self.draft.entity.location

    @property
    def nodes(self) -> int:
        """How many nodes a workflow has; 0 for anything else."""
        draft = self.draft
        if draft.id.resource_type != WORKFLOW:
            return 0
        if draft.closure is not None:
            return sum(node.id not in ADDED_NODES for node in draft.closure.primary.template.nodes)
        if draft.message is not None:
            return len(draft.message.template.nodes)
        return len(draft.spec.nodes) if isinstance(draft.spec, WorkflowTemplate) else 0

    @property
    def digest(self) -> str:
        """Flyte's digest of it as compiled (pbhash, in hex); empty unless it is `ok`."""
        draft = self.draft
        if self.state != OK:
            return ""
        if draft.id.resource_type == TASK:
            message = draft.message.template
        else:
            message = draft.closure if draft.closure is not None else draft.message
        try:
            return digest(message).hex()
        except CodecError:
            return ""


class CompileReport(NamedTuple):
    """The result of compiling some entities and all they use."""

    entities: "tuple[CompiledEntity, ...]"
    """Every entity, in an order in which they could be registered."""
    problems: "tuple[Problem, ...]"
    """Problems that belong to no single entity: unreadable files, circles, names used twice."""
    elapsed_s: float

    @property
    def all_problems(self) -> "tuple[Problem, ...]":
        """Every problem, those of the entities after the others."""
        own = (problem for entity in self.entities for problem in entity.problems)
        return unique((*self.problems, *own))

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.all_problems


def compile_all(
    entities: "Iterable[Entity]",
    scope: Scope,
    registry: Registry,
    *,
    data: "DataAccess | None" = None,
    lookup: "Lookup | None" = None,
    problems: "Sequence[Problem]" = (),
) -> CompileReport:
    """Compile entities of the SDK and specs together, with all they use, and return a report.

    Args:
        entities: Tasks, workflows, launch plans; and `Spec` values.
        scope: Project, domain and the notebook's name.
        registry: The types.
        data: Stores constants that need a file.
        lookup: Finds registered entities that specs refer to; without it such a reference is a
            problem.
        problems: Problems that are known already, e.g. of files that cannot be read.
    """
    started = time.perf_counter()
    given = list(entities)
    unread = {problem.entity for problem in problems if problem.entity}
    drafter = Drafter(scope, registry, data=data, lookup=lookup, unread=unread)
    drafts, together = drafter.draft_each(given)
    asked = {id(entity) for entity in given}
    made = tuple(
        CompiledEntity(draft, _state(draft)) for draft in drafts if _is_shown(draft, asked)
    )
    other = [
        problem
        for problem in (*problems, *together)
        if not any(problem in one.problems for one in made)
    ]
    return CompileReport(made, tuple(other), time.perf_counter() - started)


def _is_shown(draft: Draft, asked: "set[int]") -> bool:
    """Return whether it was asked for or is used; a workflow's default launch plan is neither."""
    return (
        draft.id.resource_type != LAUNCH_PLAN
        or isinstance(draft.entity, Spec)
        or id(draft.entity) in asked
    )


def document_of(report: CompileReport, *, with_digests: bool = True) -> "dict[str, Any]":
    """Return the report as JSON data: the format of `flyte-nb compile --output json`.

    `entities`: `resource_type`, `project`, `domain`, `name`, `version`, `state` (`ok`, `problems`,
    `blocked`), `nodes`, `digest`, `file`, `line`. `problems`: `entity`, `code`, `message`, `node_id`,
    `variable`, `hint`, `flyte_text`, `file`, `line`. `counts`: `entities`, `ok`, `problems`. Fields
    are only ever added; an incompatible change increases `format`.

    Args:
        report: The report.
        with_digests: Whether to compute digests. Those of megabytes take seconds, and only machines
            read them.
    """
    entities = [
        {**one.id._asdict(), "state": one.state, "nodes": one.nodes,
         "digest": one.digest if with_digests else "", **_place(one.location)}
        for one in report.entities
    ]  # fmt: skip
    problems = [problem_document(problem) for problem in report.all_problems]
    counts = {
        "entities": len(entities),
        "ok": sum(one.state == OK for one in report.entities),
        "problems": len(problems),
    }
    return {
        "format": 1,
        "ok": report.ok,
        "counts": counts,
        "entities": entities,
        "problems": problems,
        "elapsed_s": round(report.elapsed_s, 6),
    }


def problem_document(problem: Problem) -> "dict[str, Any]":
    """Return a problem as JSON data: its fields, with `file` and `line` in place of the location."""
    fields = problem._asdict()
    place = _place(fields.pop("location"))
    return {**fields, **place}


def _place(location: "Location | None") -> "dict[str, Any]":
    if location is None:
        return {"file": "", "line": 0}
    return {"file": location.filename, "line": location.line}


def _state(draft: Draft) -> str:
    if draft.problems:
        return WRONG
    return OK if draft.message is not None else BLOCKED
