"""Hold what the magics, displays and widgets of one kernel share. It is made when the extension is loaded.

It holds the session (connected when first needed), the cells, the last execution, the live views and the
displays that follow later cells. Nothing here draws, and nothing here knows a command.
"""

import difflib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeGuard

from flyte_nb.api.errors import UsageError
from flyte_nb.api.ports import Entity
from flyte_nb.discovery.notebook import NotebookRegistrar
from flyte_nb.notebook.kernel.cells import CellRegistry, Stale, stale_entities
from flyte_nb.notebook.kernel.ports import ExecutionPort, SessionPort
from flyte_nb.notebook.kernel.redrawing import Redraws
from flyte_nb.notebook.kernel.staleness import Held, Uses, held
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import Definition, entity_name
from flyte_nb.sdk.workflow import Workflow


class LiveView(Protocol):
    """A view that is updated after its cell has ended."""

    def close(self) -> None:
        """Stop following, and leave in the output what is shown."""
        ...


class Output:
    """One output in the page that can be written again, from any thread."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._id = uuid.uuid4().hex
        self._shown = False

    def show(self, data: "Mapping[str, object]") -> None:
        """Show a mime bundle in the output, in place of what it shows now."""
        # The first message makes the output; later ones name it by its display id and replace it.
        self._shell.display_pub.publish(
            data=dict(data),
            metadata={},
            transient={"display_id": self._id},
            update=self._shown,
        )
        self._shown = True


class Kernel:
    """The notebook's side of one running kernel."""

    def __init__(self, shell: Any, connect: "Callable[..., SessionPort]") -> None:
        """Remember the shell; nothing is connected yet.

        Args:
            shell: IPython's.
            connect: Without arguments, returns the present session, connecting if there is none; with the
                options of `%flyte connect`, connects anew.
        """
        self.shell = shell
        self.cells = CellRegistry()
        self.last_execution = ""
        self.registrar = NotebookRegistrar(shell.user_ns)
        self._connect = connect
        self.connected = False
        """Whether a session was asked for yet. Completion reads it, because pressing Tab must not connect."""
        self._live: dict[str, tuple[int, list[LiveView]]] = {}  # prompt number and views, by cell
        self._uses = Uses()
        self.redraws = Redraws()
        """The displays that are drawn again when a later cell changes what they show."""

    @property
    def namespace(self) -> "dict[str, Any]":
        """Return the notebook's variables, not a copy."""
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    @property
    def session(self) -> SessionPort:
        """Return the present session, also when a cell called `flyte_nb.connect()`; connects if needed."""
        session = self._connect()
        self.connected = True
        return session

    def connect(self, **options: Any) -> SessionPort:
        """Connect anew with these options. Live views that exist keep the session they have."""
        session = self._connect(**options)
        self.connected = True
        return session

    def output(self) -> Output:
        """Return a new output below the running cell."""
        return Output(self.shell)

    def follow(self, live: LiveView) -> None:
        """Keep a live view, and close those of the same cell's earlier run.

        One run of a cell may make several views; all of them are kept. The prompt's number tells runs apart.
        """
        cell = self.cells.current
        key, number = (cell.cell_id, cell.number) if cell else ("", 0)
        began, views = self._live.get(key, (number, []))
        if began != number:
            for view in views:
                view.close()
            views = []
        self._live[key] = (number, [*views, live])

    def close(self) -> None:
        """Close every live view."""
        for _, views in self._live.values():
            for view in views:
                view.close()
        self._live.clear()

    def entities(self) -> "dict[str, Definition]":
        """Return the notebook's tasks, workflows and launch plans by variable, in the order of definition.

        An entity with several variables is listed under the first one.
        """
        found: dict[str, Definition] = {}
        seen: set[int] = set()
        for name, value in list(self.namespace.items()):
            if not name.startswith("_") and is_entity(value) and id(value) not in seen:
                seen.add(id(value))
                found[name] = value
        return found

    def entity(self, name: str) -> "Definition | str":
        """Return the entity that a person means by `name`: a variable, a function's name, or a full name.

        Returns:
            The entity. The name itself if it has a dot and no entity of this notebook is called so: then
            it is the name of one that was registered, from here or elsewhere.

        Raises:
            UsageError: There is no entity of that name, or the variable holds something else.
        """
        entities = self.entities()
        if name in entities:
            return entities[name]
        for value in entities.values():
            short = value.short_name
            # The full name needs the session's scope, so it is only asked for when the name may fit.
            if name == short or (name.endswith(f".{short}") and self.full_name(value) == name):
                return value
            if name == f"{value.module}.{short}":
                return value
        if "." in name:
            return name
        if name in self.namespace:
            kind = type(self.namespace[name]).__name__
            raise UsageError(
                f"{name!r} is a {kind}, not a task or a workflow. Put @task or @workflow on it."
            )
        known = ", ".join(entities) or "none yet"
        near = difflib.get_close_matches(name, entities, n=1)
        advice = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"There is no task or workflow {name!r} in this notebook; it has: {known}.{advice}"
        )

    def full_name(self, entity: Entity) -> str:
        """Return the name under which an entity of this notebook is registered."""
        return entity_name(entity, self.session.scope)

    def execution(self, name: str = "") -> ExecutionPort:
        """Return the execution of that name; without a name the last one, also after a kernel restart.

        Raises:
            UsageError: Nothing was launched yet.
            RemoteError: FlyteAdmin has no such execution, or cannot be reached.
        """
        name = name or self.last_execution or self._newest()
        if not name:
            raise UsageError("Nothing was launched yet. %flyte launch NAME starts an execution.")
        return self.session.execution(name)

    def _newest(self) -> str:
        """Return the newest execution of this notebook, else of the domain, else an empty text.

        A restarted kernel has forgotten what it launched, but the backend has not.
        """
        # What a node of an execution started is a part of that one.
        views = [view for view in self.session.executions() if view.parent is None]
        own = f"{self.session.scope.main_module}."
        for view in views:
            if view.entity.name.startswith(own) or view.workflow.name.startswith(own):
                return view.id.name
        return views[0].id.name if views else ""

    def stale(self, names: "Iterable[str]") -> "tuple[Stale, ...]":
        """Return which of these entities refer to a class that was defined again later."""
        entities = self.entities()
        known = {name: entities[name] for name in names if name in entities}
        functions = {
            name: entity.function if isinstance(entity, Callee) else None
            for name, entity in known.items()
        }
        return stale_entities(functions, self.namespace)

    def held(self) -> "tuple[Held, ...]":
        """Return which entities still use a definition that was replaced by a later run of a cell."""
        return held(self.entities(), self.namespace, self.uses)

    def uses(self, name: str, entity: Entity) -> "tuple[Definition, ...]":
        """Return what an entity refers to directly; `name` is the key under which the answer is cached."""
        session = self.session

        def trace(workflow: Workflow) -> "tuple[Definition, ...]":
            return workflow.trace(session.registry, session.scope).entities

        return self._uses.of(name, entity, trace)


def is_entity(value: object) -> "TypeGuard[Definition]":
    """Return whether the value is a task, a workflow or a launch plan."""
    return isinstance(value, Definition)
