"""`%flyte compile`: everything that the notebook defines, or what is named, as the compiler sees it."""

from collections.abc import Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.drafting.reports import CompiledEntity, Report
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import registering
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.staleness import Held
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.task import AnyTask


class Compilation:
    """What `%flyte compile` gives: the report, and what still holds objects of before.

    No tuple, because IPython has an opinion of its own on how to print those.
    """

    def __init__(
        self,
        report: Report,
        names: "tuple[str, ...]",
        held: "tuple[Held, ...]",
        stale: "frozenset[int]",
    ) -> None:
        """What came of it.

        Args:
            report: of the compiler.
            names: what was asked for; empty for everything that the notebook defines.
            held: what holds objects of before.
            stale: `id()` of the entities that do, and of those that use them.
        """
        self.report, self.names, self.held, self.stale = report, names, held, stale

    @property
    def ok(self) -> bool:
        """Whether there are no problems, and nothing holds an object of before."""
        return self.report.ok and not self.stale

    @property
    def entities(self) -> "tuple[CompiledEntity, ...]":
        """Each entity with its closure (`draft.closure`) and problems."""
        return self.report.entities

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Every problem."""
        return self.report.all_problems

    def __repr__(self) -> str:
        said = f"{len(self.problems)} problems" if self.problems else "no problems"
        stale = f", {len(self.stale)} stale" if self.stale else ""
        return f"<compilation of {len(self.entities)} entities: {said}{stale}>"


def compile_(kernel: Kernel, arguments: Arguments) -> Compilation:
    """Compile; the result is shown as a card, and is a value when it is assigned.

    Raises:
        UsageError: There is nothing to compile, or no such name.
    """
    return compiled(kernel, arguments.positionals)


def compiled(kernel: Kernel, names: "Sequence[str]" = ()) -> Compilation:
    """What these names mean now, compiled; without names, everything that the notebook defines.

    Raises:
        UsageError: There is nothing to compile, or no such name.
    """
    entities = registering.chosen_entities(kernel, names)
    report: Report = kernel.session.compile_all(*entities)
    shown = {id(one.draft.entity) for one in report.entities}
    held = tuple(each for each in kernel.held() if id(each.user_entity) in shown)
    # Two of one name in memory: who holds the older one says it better.
    older = {kernel.full_name(each.old) for each in held}
    told = [p for p in report.problems if p.code != "DuplicateName" or p.entity not in older]
    report = report._replace(problems=tuple(told))
    return Compilation(report, tuple(names), held, _stale(kernel, report, held))


def _stale(kernel: Kernel, report: Report, held: "Sequence[Held]") -> "frozenset[int]":
    """Who holds something of before, be it an entity or a class, or uses one that does."""
    known = kernel.entities()
    stale = {id(each.user_entity) for each in held}
    stale |= {id(known[each.entity]) for each in kernel.stale(known)}
    for one in report.entities:  # what is used comes first
        entity = one.draft.entity
        below = kernel.uses(f"{one.id.resource_type}:{one.id.name}", entity)
        if any(id(_original(used)) in stale for used in below):
            stale.add(id(entity))
    return frozenset(stale)


def _original(entity: Definition) -> Definition:
    """Of a map, the task that is mapped."""
    return entity.original if isinstance(entity, AnyTask) else entity
