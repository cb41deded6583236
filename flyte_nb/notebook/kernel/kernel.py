"""What the magics, displays and widgets of one kernel share. It is made when the extension loads.

It holds the session (made on first need), the cells, the last execution and the live views. Nothing
here draws; nothing here knows a command.
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
from flyte_nb.sdk.drafts import entity_name
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.workflow import Workflow


class Live(Protocol):
    """A view that goes on after its cell has ended."""

    def close(self) -> None:
        """Stop following and leave what is shown as it is."""
        ...


class Output:
    """One place on the page that can be written again, from any thread."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._id = uuid.uuid4().hex
        self._shown = False

    def show(self, data: "Mapping[str, Any]") -> None:
        """Put a mime bundle there, replacing what is there."""
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
        self.shell = shell
        self.cells = CellRegistry()
        self.last_execution = ""
        self.registrar = NotebookRegistrar(shell.user_ns)
        self._connect = connect
        self.connected = False
        """Whether a session was asked for yet; completion never connects."""
        self._live: dict[str, tuple[int, list[Live]]] = {}
        self._uses = Uses()
        self.redraws = Redraws()
        """What is shown and follows the cells that are run after it."""

    @property
    def namespace(self) -> "dict[str, Any]":
        """The notebook's variables."""
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    @property
    def session(self) -> SessionPort:
        """The session that holds now, also when a cell called `flyte_nb.connect()`."""
        session = self._connect()
        self.connected = True
        return session

    def connect(self, **options: Any) -> SessionPort:
        """Connect anew with these options. Live views of before go on with what they had."""
        session = self._connect(**options)
        self.connected = True
        return session

    def output(self) -> Output:
        """A new place below the running cell."""
        return Output(self.shell)

    def follow(self, live: Live) -> None:
        """Keep a live view; the one of the same cell's earlier run is closed."""
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
        """The notebook's tasks, workflows and launch plans by variable, in the order of definition."""
        found: dict[str, Definition] = {}
        seen: set[int] = set()
        for name, value in list(self.namespace.items()):
            if not name.startswith("_") and is_entity(value) and id(value) not in seen:
                seen.add(id(value))
                found[name] = value
        return found

    def entity(self, name: str) -> "Definition | str":
        """What a person calls `name`: a variable, a function's name, or a full registered name.

        Returns:
            The entity, or the name itself when it has a dot and nothing here is called that: then
            it is one that somebody registered.

        Raises:
            UsageError: No entity of that name.
        """
        entities = self.entities()
        if name in entities:
            return entities[name]
        for value in entities.values():
            short = value.short_name
            if name == short or (name.endswith(f".{short}") and self._is(value, name)):
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
        """What an entity of this notebook is registered as."""
        return entity_name(entity, self.session.scope)

    def _is(self, value: Definition, full_name: str) -> bool:
        return self.full_name(value) == full_name

    def execution(self, name: str = "") -> ExecutionPort:
        """The execution of that name; without a name the last one, also after a kernel restart.

        Raises:
            UsageError: Nothing was launched yet.
        """
        name = name or self.last_execution or self._newest()
        if not name:
            raise UsageError("Nothing was launched yet. %flyte launch NAME starts an execution.")
        return self.session.execution(name)

    def _newest(self) -> str:
        views = self.session.executions()
        own = f"{self.session.scope.main_module}."
        for view in views:
            if view.entity.name.startswith(own) or view.workflow.name.startswith(own):
                return view.id.name
        return views[0].id.name if views else ""

    def stale(self, names: "Iterable[str]") -> "tuple[Stale, ...]":
        """Which of these entities speak of a class that was defined again since."""
        entities = self.entities()
        known = {name: entities[name] for name in names if name in entities}
        functions = {
            name: entity.function if isinstance(entity, Callee) else None
            for name, entity in known.items()
        }
        return stale_entities(functions, self.namespace)

    def held(self) -> "tuple[Held, ...]":
        """Which entities still use an object that was defined again since."""
        return held(self.entities(), self.namespace, self.uses)

    def uses(self, name: str, entity: Entity) -> "tuple[Definition, ...]":
        """What an entity refers to directly; `name` is what it is remembered by."""
        session = self.session

        def trace(workflow: Workflow) -> "tuple[Definition, ...]":
            return workflow.trace(session.registry, session.scope).entities

        return self._uses.of(name, entity, trace)


def is_entity(value: object) -> "TypeGuard[Definition]":
    """Whether the value is a task, a workflow or a launch plan."""
    return isinstance(value, Definition)
