"""Find everything that has to be registered for some entities, in an order in which it can be."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.problems import Problem
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import entity_name
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.workflow import Workflow

if TYPE_CHECKING:
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.workflow import Trace
    from flyte_nb.types.registry import Registry


def reachable(
    entities: "Iterable[Definition]",
    registry: "Registry",
    scope: Scope,
    *,
    trace: "Callable[[Workflow], Trace] | None" = None,
    inside: "Callable[[AnyTask], Iterable[Definition]] | None" = None,
    launched: bool = True,
) -> "list[Definition]":
    """Return the entities and all they refer to, each once: tasks, then workflows and launch plans.

    A workflow comes after the workflows and launch plans that it uses, and a launch plan after its
    workflow; so each can be registered when its turn comes. Problems inside of workflows are not
    raised here; their traces have them.

    Args:
        entities: where to begin.
        registry: the types.
        scope: project, domain and the notebook's name.
        trace: traces a workflow; a caller that needs the traces too passes one that keeps them.
        inside: returns what the body of a task can call; `None` leaves such entities out.
        launched: whether the workflows of launch plans are included.

    Raises:
        CompileFailed: workflows use each other in a circle, or two entities share a name.
    """
    walk = _Walk(
        scope,
        trace or (lambda workflow: workflow.trace(registry, scope)),
        inside or (lambda task: ()),
        launched,
    )
    walk.go(entities)
    if walk.problems:
        raise CompileFailed("These entities cannot be registered together.", walk.problems)
    return walk.tasks + walk.others


class _Walk:
    """A depth-first walk over references. It notes an entity after everything that it refers to."""

    def __init__(
        self,
        scope: Scope,
        trace: "Callable[[Workflow], Trace]",
        inside: "Callable[[AnyTask], Iterable[Definition]]",
        launched: bool,
    ) -> None:
        self._scope = scope
        self._trace = trace
        self._inside = inside
        self._launched = launched
        self._named: dict[tuple[str, str], Definition] = {}
        self._open: list[Definition] = []
        self._later: list[Definition] = []
        self.tasks: list[Definition] = []
        self.others: list[Definition] = []
        self.problems: list[Problem] = []

    def go(self, entities: "Iterable[Definition]") -> None:
        """Visit the entities, and then what the tasks among them call."""
        for entity in entities:
            self.visit(entity)
        while self._later:
            self.visit(self._later.pop(0))

    def visit(self, entity: "Definition") -> None:
        if entity.registered_as is not None:
            return  # somebody else has registered it
        entity = context.stand_in(entity)  # names in a body mean what is replaced, too
        name = entity_name(entity, self._scope)
        known = self._named.get((entity.resource_type, name))
        if known is entity:
            if any(entity is waiting for waiting in self._open):
                self._note_circle(entity)
            return
        if known is not None:
            self._note_clash(known, entity, name)
            return
        self._named[entity.resource_type, name] = entity
        if isinstance(entity, AnyTask):
            for below in entity.node_dependency_hints:
                self.visit(below)
            self.tasks.append(entity)
            # Visited later: the body is run only where the task runs, so what it calls may well be a
            # workflow that contains this very task. Visited now, that would look like a circle.
            self._later.extend(self._inside(entity))
            return
        self._open.append(entity)
        for below in self._below(entity):
            self.visit(below)
        self._open.pop()
        self.others.append(entity)

    def _below(self, entity: "Definition") -> "tuple[Definition, ...]":
        if isinstance(entity, Workflow):
            return self._trace(entity).entities
        if isinstance(entity, LaunchPlan) and self._launched:
            return (entity.workflow,)
        return ()

    def _note_circle(self, entity: "Definition") -> None:
        start = next(index for index, item in enumerate(self._open) if item is entity)
        way = " → ".join(item.short_name for item in [*self._open[start:], entity])
        self.problems.append(
            Problem(
                "CycleDetected",
                f"Workflows use each other in a circle: {way}.",
                hint="Take one of the calls out; a workflow cannot contain itself.",
                location=entity.location,
                entity=entity.short_name,
            )
        )

    def _note_clash(self, known: "Definition", entity: "Definition", name: str) -> None:
        if known.is_same(entity):
            return
        self.problems.append(
            Problem(
                "DuplicateName",
                f"Two different definitions are called {name}.",
                hint="Run the cells that use the older one anew, or give one another name.",
                location=entity.location,
                entity=name,
            )
        )
