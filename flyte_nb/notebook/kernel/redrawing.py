"""Draw displays again when a later cell changes what they show: a workflow's graph, `%flyte compile`.

After each cell, the objects that a display was made from are compared with what its names mean now. Only a
display whose objects changed is compiled and drawn again, in its place, with a line that names the cell. The
comparison traces nothing, so a cell costs nothing extra while no display is affected.

IPython sends the value of a cell's last expression in a message that cannot be replaced later. So for our
own values `shell/displayhook.py` publishes an output that can be.
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

_MOST = 24
"""Displays that are kept up to date. Older ones stay as they are, so that a long notebook stays quick."""

State = Mapping[str, "tuple[Any, ...]"]
"""By variable: the entity, and the objects that the names in its body refer to."""


class Shown(NamedTuple):
    """One display in the page."""

    cell_id: str
    state: State
    current: "Callable[[], Mapping[str, Definition]]"
    """Returns the entities that its variables hold now."""
    draw: "Callable[[], Mapping[str, object] | None]"
    """Returns its new mime bundle; `None` to leave the display as it is."""
    show: "Callable[[Mapping[str, object]], None]"
    """Writes a mime bundle over the display."""


class Redraws:
    """The displays of one kernel that are drawn again."""

    def __init__(self) -> None:
        self._shown: list[Shown] = []

    def keep(
        self,
        cell_id: str,
        current: "Callable[[], Mapping[str, Definition]]",
        draw: "Callable[[], Mapping[str, object] | None]",
        show: "Callable[[Mapping[str, object]], None]",
    ) -> None:
        """Keep a display up to date from now on.

        Args:
            cell_id: The cell whose output it is in.
            current: Returns the entities that it shows, by variable, as they are at the time of the call.
            draw: Returns its new mime bundle, or `None` to leave it as it is.
            show: Writes a mime bundle over it.
        """
        state = _state(current())
        self._shown.append(
            Shown(cell_id=cell_id, state=state, current=current, draw=draw, show=show)
        )
        del self._shown[:-_MOST]

    def forget(self, cell_id: str) -> None:
        """Drop the displays of a cell that is run again: its outputs are gone."""
        self._shown = [each for each in self._shown if each.cell_id != cell_id]

    def after(self, label: str) -> None:
        """Draw again what the cell that has just run changed; `label` is what a person calls that cell."""
        for index, each in enumerate(self._shown):
            state = _state(each.current())
            if _same(each.state, state):
                continue
            # Noted before drawing: a display that cannot be drawn is not tried again after every cell.
            self._shown[index] = each._replace(state=state)
            bundle = each.draw()
            if bundle is not None:
                each.show(_with_reason(bundle, label))


def _state(entities: "Mapping[str, Definition]") -> State:
    """Return the state of these entities. It is cheap: no body is traced."""
    return {name: (entity, *_names(entity)) for name, entity in entities.items()}


def _names(entity: Definition) -> "tuple[Any, ...]":
    workflow = entity.workflow if isinstance(entity, LaunchPlan) else entity
    if not isinstance(workflow, Workflow):
        return ()
    names = held_names(workflow)
    if names is not None:
        return names
    # The body reaches an object that can change without being replaced, e.g. a list. Then only the names in
    # the body itself are compared. A change inside the list is seen when the cell is run again.
    return tuple(value for _, value in globals_of(undecorated(workflow.function)))


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        same_names(held, other[name]) for name, held in one.items()
    )


def _with_reason(bundle: "Mapping[str, object]", label: str) -> "Mapping[str, object]":
    reason = f"drawn again after {label}" if label else "drawn again"
    style = f"{theme.QUIET};margin:-6px 0 10px 14px"
    changed = dict(bundle)
    if "text/html" in changed:
        changed["text/html"] = f"{changed['text/html']}{element('div', reason, style=style)}"
    if "text/plain" in changed:
        changed["text/plain"] = f"{changed['text/plain']}\n({reason})"
    return changed
