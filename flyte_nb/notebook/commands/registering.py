"""`%flyte register`: register everything that the notebook defines, with a panel that fills meanwhile."""

import time
from collections.abc import Collection, Sequence
from typing import Any

from flyte_nb.api.errors import FlyteNbError, RegistrationFailed, UsageError
from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.bundle.stage import StagingProgress
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.kernel.failures import Interrupted
from flyte_nb.notebook.kernel.kernel import Kernel, Output
from flyte_nb.notebook.kernel.staleness import Held
from flyte_nb.registering.views import RegisteredEntity, Registration

_REDRAW_S = 0.1
"""Seconds between two redraws of the panel at least: outputs that are replaced faster make a page flicker."""


def register(kernel: Kernel, arguments: Arguments) -> None:
    """Register, show each entity as soon as its outcome is known, and fail the cell if one failed.

    Raises:
        UsageError: There is nothing to register, or no entity of that name.
        RegistrationFailed: Some entities were not registered; the panel shows which and why.
        Interrupted: A person interrupted the registration.
    """
    entities = chosen_entities(kernel, arguments.positionals)
    dry_run = arguments.switch("dry-run")
    session = (
        kernel.session
    )  # connect first: an interrupt while connecting is not one of registering
    panel = Panel(kernel, kernel.output(), dry_run=dry_run)
    try:
        panel.begin(len(entities))
        outcome = session.register(
            *entities,
            on_progress=panel.settled,
            on_upload=panel.uploading,
            dry_run=dry_run,
            restage=arguments.switch("restage"),
        )
    except FlyteNbError as error:
        panel.broken_off()
        # Problems that the panel lists are not repeated by the error below it.
        if isinstance(error, RegistrationFailed):
            error.is_shown = panel.lists(error.problems)
        raise
    except KeyboardInterrupt:
        panel.broken_off(
            "Interrupted before FlyteAdmin answered. %flyte register shows what is registered."
        )
        raise Interrupted(
            "The registration was interrupted.",
            hint="What was registered is complete; %flyte register registers the rest.",
        ) from None
    panel.done(outcome)
    if not outcome.ok:
        failed = RegistrationFailed("Not everything was registered:", _problems(outcome))
        failed.is_shown = panel.lists(failed.problems)
        raise failed


def chosen_entities(kernel: Kernel, names: "Sequence[str]") -> "list[Entity]":
    """Return the named entities, or all that the notebook defines now.

    Raises:
        UsageError: There are none, or a name is not that of an entity of this notebook.
    """
    entities = [_own(kernel, name) for name in names] if names else _defined_now(kernel)
    if not entities:
        raise UsageError(
            "The notebook defines no task or workflow yet. Put @task on a function, or begin a cell"
            " with %%task name(x: int) -> y: int."
        )
    return entities


def _own(kernel: Kernel, name: str) -> Entity:
    """Return the entity of that name, which has to be defined in this notebook."""
    entity = kernel.entity(name)
    if isinstance(entity, str):
        raise UsageError(f"{name!r} is not defined in this notebook, so it cannot be registered.")
    return entity


def _defined_now(kernel: Kernel) -> "list[Entity]":
    """Return what the notebook defines, without what its cells do not define any more.

    The kernel still holds a function whose definition was deleted from its cell. Registering it would
    register something that a reader of the notebook cannot find.
    """
    entities: list[Entity] = list(kernel.registrar.load({}))
    gone = {
        removed.name for removed in kernel.cells.removed([entity.short_name for entity in entities])
    }
    return [entity for entity in entities if entity.short_name not in gone]


def _problems(outcome: Registration) -> "tuple[Problem, ...]":
    found: list[Problem] = []
    for entity in outcome.entities:
        found += entity.problems
        if entity.state == "failed" and not entity.problems:
            found.append(Problem("RegistrationFailed", entity.why, entity=entity.id.name))
    return tuple(found)


class Panel:
    """The panel of a registration: one output that is written again as entities are done."""

    def __init__(self, kernel: Kernel, output: Output, *, dry_run: bool) -> None:
        """Remember where to write; nothing is shown yet."""
        self._kernel = kernel
        self._output = output
        self._dry_run = dry_run
        self._entities: dict[object, RegisteredEntity] = {}
        self._began = self._drawn = time.monotonic()
        self._title = ""

    def begin(self, count: int) -> None:
        """Show that it has begun: packing takes a moment before the first entity is done."""
        noun = "entity" if count == 1 else "entities"
        self._title = f"Registering {count} {noun} …"
        self._output.show(at_rest.note(self._title))

    def uploading(self, now: StagingProgress) -> None:
        """Show how much of the bundles is stored. An upload that takes no time is not shown."""
        # Once entities are done, their rows are worth more than the bar.
        if not self._entities and self._is_due():
            self._output.show(at_rest.uploading(self._title, now.done_bytes, now.total_bytes))

    def settled(self, entity: RegisteredEntity) -> None:
        """Show one more entity that is done."""
        self._entities[entity.id] = entity
        if self._is_due():
            elapsed = self._drawn - self._began
            self._show(Registration(tuple(self._entities.values()), 0, 0, elapsed), running=True)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._drawn < _REDRAW_S:
            return False
        self._drawn = now
        return True

    def broken_off(self, otherwise: str = "Nothing was registered.") -> None:
        """Show what was done before an error or an interrupt; `otherwise` if nothing was.

        The notes on cells are shown too, because what they point out is often the reason.
        """
        if self._entities:
            elapsed = time.monotonic() - self._began
            self._show(Registration(tuple(self._entities.values()), 0, 0, elapsed), running=False)
        else:
            self._output.show(at_rest.note(otherwise, notes(self._kernel)))

    def lists(self, problems: "Collection[Problem]") -> bool:
        """Return whether the panel lists all of these problems."""
        shown = {each for entity in self._entities.values() for each in entity.problems}
        return shown.issuperset(problems)

    def done(self, outcome: Registration) -> None:
        """Show the outcome, with the notes on cells."""
        self._entities = {entity.id: entity for entity in outcome.entities}
        self._show(outcome, running=False)

    def _show(self, registration: Registration, *, running: bool) -> None:
        session = self._kernel.session
        self._output.show(
            at_rest.registration(
                registration,
                scope=session.scope,
                label=session.label,
                running=running,
                dry_run=self._dry_run,
                notes=() if running else registration_notes(self._kernel),
                humanize=self._kernel.cells.humanize,
            )
        )


def registration_notes(kernel: Kernel) -> "tuple[str, ...]":
    """Return the remarks below a registration: `notes`, and the notebook's name unless the page shows it."""
    name = kernel.session.notebook.said
    return (*((name,) if name else ()), *notes(kernel))


def notes(kernel: Kernel, about: "Collection[Any] | None" = None) -> "tuple[str, ...]":
    """Return what to point out about cells: a new name, deleted definitions, replaced classes and entities.

    Args:
        kernel: The notebook's side.
        about: Report replaced entities only if these entities use them; `None` for all entities.
    """
    entities = kernel.entities()
    remarks = []
    renamed = kernel.session.renamed()
    if renamed:
        remarks.append(
            f"The notebook is called {renamed} now; its entities keep their old names until the"
            f" kernel restarts, or `%flyte connect --name {renamed}`."
        )
    remarks += [
        f"{removed.name} is not defined by {removed.cell.label} any more, so it was left out. It is"
        f" still in memory: del {removed.name} forgets it."
        for removed in kernel.cells.removed(entities)
    ]
    for stale in kernel.stale(entities):
        again = _again(kernel, stale.entity)
        remarks.append(
            f"class {stale.class_name} was redefined after {stale.entity}: {again}, else"
            f" {stale.entity} keeps the old one."
        )
    remarks += [
        held_note(kernel, each)
        for each in kernel.held()
        if about is None or any(each.user_entity is entity for entity in about)
    ]
    return tuple(remarks)


def held_note(kernel: Kernel, held: Held) -> str:
    """Return a sentence on who uses a replaced definition, what replaced it, and which cell to run again."""
    again = _again(kernel, held.holder)
    if held.old.module != MAIN_MODULE:
        return (
            f"`{held.user}` still uses the `{held.old.short_name}` from before {held.old.module} was"
            f" loaded again: {again}."
        )
    before, after = (_label(kernel, entity) for entity in (held.old, held.new))
    # Both are in one cell when it was run twice, or when its definitions have no file name of a cell.
    if before == after:
        before = f"an earlier run of {after}" if after else "before"
    return (
        f"`{held.user}` still uses the `{held.old.short_name}` of {before or 'before'}, which"
        f" {after or 'the notebook'} defined again: {again}."
    )


def _label(kernel: Kernel, entity: Entity) -> str:
    return kernel.cells.label(entity.location.filename)


def _again(kernel: Kernel, name: str) -> str:
    """Return what makes the variable new: running its cell, if the cell is known."""
    owner = kernel.cells.owner(name)
    return f"run {owner.label} again" if owner else f"define {name} again"
