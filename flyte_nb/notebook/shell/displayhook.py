"""Show a cell's last expression where it can be drawn again, if it is a workflow, a picture or a compilation.

IPython sends the value of a last expression as an `execute_result`, which cannot be replaced later. For our
values the display hook publishes a display with an id instead, and tells IPython that there is nothing to
send.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.api.identifiers import TASK
from flyte_nb.notebook.commands import watching as commands
from flyte_nb.notebook.commands.compiling import Compilation, compiled
from flyte_nb.notebook.kernel.kernel import Kernel, is_entity
from flyte_nb.sdk.entity import Definition

_WATCHING = ("flyte_nb.executions.execution", "Watching")
"""The class of what `execution.watch()` returns, by name, so that its module is not loaded for this."""
_PICTURES = "flyte_nb.graph.picture"
"""The module of what `workflow.graph(…)` returns, by name for the same reason."""


def install(kernel: Kernel) -> "Callable[[], None]":
    """Put our function before the shell's display hook; return a function that takes it out again."""
    hook = kernel.shell.displayhook
    before = hook.compute_format_data

    def compute(result: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
        data, metadata = before(result)
        if data and _follow(kernel, result, data):
            return {}, {}  # it was published, and IPython sends no result without data
        return data, metadata

    hook.compute_format_data = compute

    def undo() -> None:
        # Another extension may have put its own function over ours, which must stay.
        if hook.compute_format_data is compute:
            del hook.compute_format_data  # uncovers the method of the class

    return undo


def _follow(kernel: Kernel, value: Any, data: "Mapping[str, object]") -> bool:
    """Publish a value that later cells can change, and keep it up to date; return whether it was one."""
    if (type(value).__module__, type(value).__name__) == _WATCHING:
        return _watch(kernel, value)
    cell = kernel.cells.current
    if cell is None or not cell.can_be_redrawn:
        return False
    subject = _subject(kernel, value)
    if subject is None:
        return False
    last = [_content(value, data)]  # a list, because `draw` sets it

    def draw() -> "Mapping[str, object] | None":
        try:
            now = subject.again()
        except (FlyteNbError, UsageError):
            return None  # what it showed is gone, so the last picture of it stays
        if type(now) is not type(value):
            return None
        made: Mapping[str, object] = kernel.shell.display_formatter.format(now)[0]
        content = _content(now, made)
        if content == last[0]:
            return None  # the cell was run again without a change; drawing would only flicker
        last[0] = content
        return made

    output = kernel.output()
    output.show(data)
    kernel.redraws.keep(cell.cell_id, subject.current, draw, output.show)
    return True


def _watch(kernel: Kernel, watching: Any) -> bool:
    """Show the live tracker, as `%flyte watch` does; return `False` if the execution cannot be read."""
    try:
        commands.show(kernel, watching.execution, kernel.output())
    except (FlyteNbError, UsageError):
        return False  # the value's own formatter shows why
    return True


class _Subject(NamedTuple):
    """What a display shows, and how to make it again."""

    current: "Callable[[], Mapping[str, Definition]]"
    """Returns its entities as they are now, by variable."""
    again: "Callable[[], Any]"
    """Returns the value to show now."""


def _subject(kernel: Kernel, value: Any) -> "_Subject | None":
    """Return how to make the display of a value again; `None` for a value that no later cell changes."""
    if isinstance(value, Compilation):
        names = value.names

        def current() -> "dict[str, Definition]":
            known = kernel.entities()
            return {name: known[name] for name in names if name in known} if names else known

        return _Subject(current, lambda: compiled(kernel, names))
    if is_entity(value) and value.resource_type != TASK:
        return _by_variable(kernel, value, lambda entity: entity)
    asked = getattr(value, "asked", None) if type(value).__module__ == _PICTURES else None
    if asked is not None and is_entity(asked.entity):
        return _by_variable(kernel, asked.entity, lambda now: now.graph(**asked.options))
    return None


def _by_variable(kernel: Kernel, entity: Any, show: "Callable[[Any], Any]") -> "_Subject | None":
    """Return how to show what the entity's variable holds later; `None` if no variable holds it."""
    known_as = [name for name, each in kernel.entities().items() if each is entity]
    if not known_as:
        return None
    variable = known_as[0]

    def again() -> Any:
        now = kernel.namespace.get(variable)
        return show(now) if is_entity(now) else None

    return _Subject(
        lambda: {key: each for key, each in kernel.entities().items() if key == variable}, again
    )


def _content(value: Any, data: "Mapping[str, object]") -> Any:
    """Return what has to differ for a display to be drawn again: without elapsed times, which always do."""
    if isinstance(value, Compilation):
        held = [(each.user, each.holder, each.old.short_name) for each in value.held]
        return held, [(one.id, one.state, one.nodes, one.problems) for one in value.entities]
    return data.get("text/html"), data.get("text/plain")
