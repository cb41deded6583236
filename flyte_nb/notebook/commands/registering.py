"""`%flyte register`: everything the notebook defines, with a panel that fills while it goes on."""

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


def register(kernel: Kernel, arguments: Arguments) -> None:
    """Register, show each entity as its fate is known, and fail the cell if one failed.

    Raises:
        UsageError: There is nothing to register.
        RegistrationFailed: Some entities were not registered; the panel says which and why.
    """
    entities = chosen_entities(kernel, arguments.positionals)
    dry_run = arguments.switch("dry-run")
    session = kernel.session  # connected before the panel invites an interrupt
    panel = Panel(kernel, kernel.output(), dry_run=dry_run)
    try:
        panel.begin(len(entities))
        more = {"restage": True} if arguments.switch("restage") else {}
        outcome = session.register(
            *entities, on_progress=panel.settled, on_upload=panel.uploading, dry_run=dry_run, **more
        )
    except FlyteNbError as error:
        panel.broken_off()
        if isinstance(error, RegistrationFailed):
            error.is_shown = panel.lists(error.problems)
        raise
    except KeyboardInterrupt:
        panel.broken_off("Interrupted before an answer came; %flyte register tells what is there.")
        raise Interrupted(
            "The registration was interrupted.",
            hint="What is registered is whole; %flyte register goes on with the rest.",
        ) from None
    panel.done(outcome)
    if not outcome.ok:
        failed = RegistrationFailed("Not everything was registered:", _problems(outcome))
        failed.is_shown = panel.lists(failed.problems)
        raise failed


def chosen_entities(kernel: Kernel, names: "Sequence[str]") -> "list[Entity]":
    """The entities that are named, else all that the notebook defines now.

    Raises:
        UsageError: There are none.
    """
    entities = [_own(kernel, name) for name in names] if names else _defined_now(kernel)
    if not entities:
        raise UsageError(
            "The notebook defines no task or workflow yet. Put @task on a function, or begin a cell"
            " with %%task name(x: int) -> y: int."
        )
    return entities


def _own(kernel: Kernel, name: str) -> Entity:
    entity = kernel.entity(name)
    if isinstance(entity, str):
        raise UsageError(f"{name!r} is not defined in this notebook, so it cannot be registered.")
    return entity


def _defined_now(kernel: Kernel) -> "list[Entity]":
    """What the notebook defines, without what its cells do not define any more."""
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
    """The registration panel: one output, written again as entities are done."""

    def __init__(self, kernel: Kernel, output: Output, *, dry_run: bool) -> None:
        self._kernel = kernel
        self._output = output
        self._dry_run = dry_run
        self._entities: dict[object, RegisteredEntity] = {}
        self._began = self._drawn = time.monotonic()
        self._said = ""

    def begin(self, count: int) -> None:
        """Say that it has begun: packing takes a moment before the first entity is done."""
        noun = "entity" if count == 1 else "entities"
        self._said = f"Registering {count} {noun} …"
        self._output.show(at_rest.note(self._said))

    def uploading(self, now: StagingProgress) -> None:
        """How much of the bundles is where it belongs; nothing is said of what takes no time."""
        if not self._entities and self._is_due():
            self._output.show(at_rest.uploading(self._said, now.done_bytes, now.total_bytes))

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
        """Show what was done before an error or an interrupt ended it; `otherwise` if nothing was.

        What the cells have to say is often the reason.
        """
        if self._entities:
            elapsed = time.monotonic() - self._began
            self._show(Registration(tuple(self._entities.values()), 0, 0, elapsed), running=False)
        else:
            self._output.show(at_rest.note(otherwise, notes(self._kernel)))

    def lists(self, problems: "Collection[Problem]") -> bool:
        """Return whether the panel shows all these problems."""
        shown = {each for entity in self._entities.values() for each in entity.problems}
        return shown.issuperset(problems)

    def done(self, outcome: Registration) -> None:
        """Show the outcome, and what the cells have to say about it."""
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
    """Return what to say below a registration: the notebook's name, unless the front end shows it."""
    said = kernel.session.notebook.said
    return (*((said,) if said else ()), *notes(kernel))


def notes(kernel: Kernel, about: "Collection[Any] | None" = None) -> "tuple[str, ...]":
    """What to point out: what was deleted, what was defined again, and who holds what was before.

    Args:
        kernel: The notebook.
        about: Of those who hold something, only these entities; `None`: all of them.
    """
    entities = kernel.entities()
    said = []
    renamed = kernel.session.renamed()
    if renamed:
        said.append(
            f"The notebook is called {renamed} now; its entities keep their old names until the"
            f" kernel restarts, or `%flyte connect --name {renamed}`."
        )
    said += [
        f"{removed.name} is not defined by {removed.cell.label} any more, so it was left out. It is"
        f" still in memory: del {removed.name} forgets it."
        for removed in kernel.cells.removed(entities)
    ]
    for stale in kernel.stale(entities):
        again = _again(kernel, stale.entity)
        said.append(
            f"class {stale.class_name} was redefined after {stale.entity}: {again}, else"
            f" {stale.entity} keeps the old one."
        )
    said += [
        held_note(kernel, each)
        for each in kernel.held()
        if about is None or any(each.user_entity is entity for entity in about)
    ]
    return tuple(said)


def held_note(kernel: Kernel, held: Held) -> str:
    """What is held, who has what now, and the cell that lets go of it when it is run again."""
    again = _again(kernel, held.holder)
    if held.old.module != MAIN_MODULE:
        return (
            f"`{held.user}` still uses the `{held.old.short_name}` from before {held.old.module} was"
            f" loaded again: {again}."
        )
    before, after = (_label(kernel, entity) for entity in (held.old, held.new))
    if before == after:
        before = f"an earlier run of {after}" if after else "before"
    return (
        f"`{held.user}` still uses the `{held.old.short_name}` of {before or 'before'}, which"
        f" {after or 'the notebook'} defined again: {again}."
    )


def _label(kernel: Kernel, entity: Entity) -> str:
    return kernel.cells.label(entity.location.filename)


def _again(kernel: Kernel, name: str) -> str:
    owner = kernel.cells.owner(name)
    return f"run {owner.label} again" if owner else f"define {name} again"
