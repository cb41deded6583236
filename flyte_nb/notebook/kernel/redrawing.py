"""Displays that follow the cells that are run after them: a workflow's graph, `%flyte compile`.

After a cell has run, what is shown is compared with what its names mean now; only where that changed it is
compiled and drawn again, in its place, with a line that says why. Nothing is done when nothing is shown.

A value that is a cell's last expression is normally sent in a way that cannot be written again later. So
for our own values the shell's display hook is asked to publish an output that can be.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flyte_nb.drafting.names_held import held_names, same_names
from flyte_nb.notebook.kernel.staleness import globals_of
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import element
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.hints import undecorated
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.workflow import Workflow

_MOST = 24  # displays that are kept up to date; older ones stay as they are

State = Mapping[str, "tuple[Any, ...]"]
"""By variable: its entity, and what the names in its body hold."""


class Shown(NamedTuple):
    """One display on the page."""

    cell_id: str
    state: State
    current: "Callable[[], Mapping[str, Definition]]"
    """What its variables hold now."""
    draw: "Callable[[], Mapping[str, Any] | None]"
    """Its mime bundle as of now; `None` leaves it as it is."""
    show: "Callable[[Mapping[str, Any]], None]"


class Redraws:
    """The displays of one kernel that follow."""

    def __init__(self) -> None:
        self._shown: list[Shown] = []

    def keep(
        self,
        cell_id: str,
        current: "Callable[[], Mapping[str, Definition]]",
        draw: "Callable[[], Mapping[str, Any] | None]",
        show: "Callable[[Mapping[str, Any]], None]",
    ) -> None:
        """Keep a display up to date from now on."""
        self._shown.append(Shown(cell_id, _state(current()), current, draw, show))
        del self._shown[:-_MOST]

    def forget(self, cell_id: str) -> None:
        """The cell is run again, so its outputs are gone."""
        self._shown = [each for each in self._shown if each.cell_id != cell_id]

    def after(self, label: str) -> None:
        """A cell has run: draw again what it changed. `label` is what a person calls the cell."""
        for index, each in enumerate(self._shown):
            state = _state(each.current())
            if _same(each.state, state):
                continue
            self._shown[index] = each._replace(state=state)
            bundle = each.draw()
            if bundle is not None:
                each.show(_with_reason(bundle, label))


def _state(entities: "Mapping[str, Definition]") -> State:
    """Cheap to make: no body is traced."""
    return {name: (entity, *_names(entity)) for name, entity in entities.items()}


def _names(entity: Definition) -> "tuple[Any, ...]":
    workflow = entity.workflow if isinstance(entity, LaunchPlan) else entity
    if not isinstance(workflow, Workflow):
        return ()
    names = held_names(workflow)
    if names is not None:
        return names
    # Something in reach can change without another object taking its place: a list, a helper. Then what
    # the body names itself has to do; the rest is seen when it is shown again.
    return tuple(value for _, value in globals_of(undecorated(workflow.function)))


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        same_names(held, other[name]) for name, held in one.items()
    )


def _with_reason(bundle: "Mapping[str, Any]", label: str) -> "Mapping[str, Any]":
    reason = f"drawn again after {label}" if label else "drawn again"
    style = f"{theme.QUIET};margin:-6px 0 10px 14px"
    changed = dict(bundle)
    if "text/html" in changed:
        changed["text/html"] = f"{changed['text/html']}{element('div', reason, style=style)}"
    if "text/plain" in changed:
        changed["text/plain"] = f"{changed['text/plain']}\n({reason})"
    return changed
