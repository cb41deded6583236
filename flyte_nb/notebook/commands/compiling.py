"""`%flyte compile`: compile everything that the notebook defines, or what is named."""

from collections.abc import Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.drafting.compile_report import CompiledEntity, CompileReport
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import registering
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.staleness import Held
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.task import AnyTask


class Compilation:
    """The result of `%flyte compile`: the compiler's report, and which entities use replaced definitions.

    It is no tuple, because IPython prints tuples in its own way and would not ask for our card.
    """

    def __init__(
        self,
        report: CompileReport,
        names: "tuple[str, ...]",
        held: "tuple[Held, ...]",
        stale: "frozenset[int]",
    ) -> None:
        """Keep the results.

        Args:
            report: The compiler's.
            names: What was asked for; empty for everything that the notebook defines.
            held: The entities that use a replaced definition, each with the variable that holds it.
            stale: `id()` of these entities, and of those that use them.
        """
        self.report, self.names, self.held, self.stale = report, names, held, stale

    @property
    def ok(self) -> bool:
        """Return whether there are no problems, and no entity uses a replaced definition."""
        return self.report.ok and not self.stale

    @property
    def entities(self) -> "tuple[CompiledEntity, ...]":
        """Return each entity with its closure (`draft.closure`) and problems."""
        return self.report.entities

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Return every problem."""
        return self.report.all_problems

    def __repr__(self) -> str:
        problems = f"{len(self.problems)} problems" if self.problems else "no problems"
        stale = f", {len(self.stale)} stale" if self.stale else ""
        return f"<compilation of {len(self.entities)} entities: {problems}{stale}>"


def compile_(kernel: Kernel, arguments: Arguments) -> Compilation:
    """Compile, and return the result. IPython shows it as a card unless it is assigned.

    Raises:
        UsageError: There is nothing to compile, or no entity of that name.
    """
    return compiled(kernel, arguments.positionals)


def compiled(kernel: Kernel, names: "Sequence[str]" = ()) -> Compilation:
    """Compile what these names mean now; without names, everything that the notebook defines.

    Raises:
        UsageError: There is nothing to compile, or no entity of that name.
    """
    entities = registering.chosen_entities(kernel, names)
    report: CompileReport = kernel.session.compile_all(*entities)
    shown = {id(one.draft.entity) for one in report.entities}
    held = tuple(each for each in kernel.held() if id(each.user_entity) in shown)
    # A replaced definition that is still used gives two entities of one name. The note on what holds the
    # older one explains that better than the compiler's problem, and names the cell to run.
    older = {kernel.full_name(each.old) for each in held}
    kept = [p for p in report.problems if p.code != "DuplicateName" or p.entity not in older]
    report = report._replace(problems=tuple(kept))
    return Compilation(report, tuple(names), held, _stale(kernel, report, held))


def _stale(kernel: Kernel, report: CompileReport, held: "Sequence[Held]") -> "frozenset[int]":
    """Return `id()` of the entities that use a replaced entity or class, directly or through another one."""
    known = kernel.entities()
    stale = {id(each.user_entity) for each in held}
    stale |= {id(known[each.entity]) for each in kernel.stale(known)}
    for (
        one
    ) in report.entities:  # in the order of registration: what is used comes before what uses it
        entity = one.draft.entity
        below = kernel.uses(f"{one.id.resource_type}:{one.id.name}", entity)
        if any(id(_original(used)) in stale for used in below):
            stale.add(id(entity))
    return frozenset(stale)


def _original(entity: Definition) -> Definition:
    """Return the task that a map runs for each item; any other entity as it is."""
    return entity.original if isinstance(entity, AnyTask) else entity
