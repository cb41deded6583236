"""Puts workflows and compilations that are a cell's last expression where they can be drawn again."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.notebook.commands import watching as commands
from flyte_nb.notebook.commands.compiling import Compilation, compiled
from flyte_nb.notebook.kernel.kernel import Kernel, is_entity

_WATCHING = ("flyte_nb.executions.execution", "Watching")
_PICTURES = "flyte_nb.graph.picture"  # whose values are those of `wf.graph(…)`; loaded by need


def install(kernel: Kernel) -> "Callable[[], None]":
    """Ask the shell's display hook; the result undoes it."""
    hook = kernel.shell.displayhook
    before = hook.compute_format_data

    def compute(result: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
        data, metadata = before(result)
        if data and _follow(kernel, result, data):
            return {}, {}  # it is published
        return data, metadata

    hook.compute_format_data = compute

    def undo() -> None:
        if hook.compute_format_data is compute:
            del hook.compute_format_data  # the class has the method

    return undo


def _follow(kernel: Kernel, value: Any, data: "Mapping[str, Any]") -> bool:
    """Publish the bundle of a value that can change, and keep it up to date; whether it was one."""
    if (type(value).__module__, type(value).__name__) == _WATCHING:
        return _watch(kernel, value)
    cell = kernel.cells.current
    if cell is None or not cell.can_be_redrawn:
        return False
    subject = _subject(kernel, value)
    if subject is None:
        return False
    last = [_content(value, data)]

    def draw() -> "Mapping[str, Any] | None":
        try:
            now = subject.again()
        except (FlyteNbError, UsageError):
            return None  # what it showed is not there any more
        if type(now) is not type(value):
            return None
        made: Mapping[str, Any] = kernel.shell.display_formatter.format(now)[0]
        content = _content(now, made)
        if content == last[0]:
            return None  # the cell was run again as it was
        last[0] = content
        return made

    output = kernel.output()
    output.show(data)
    kernel.redraws.keep(cell.cell_id, subject.current, draw, output.show)
    return True


def _watch(kernel: Kernel, watching: Any) -> bool:
    """Show the live tracker, as `%flyte watch` does; `False` when the execution cannot be read."""
    try:
        commands.show(kernel, watching.execution, kernel.output())
    except (FlyteNbError, UsageError):
        return False  # the value's own display says why
    return True


class _Subject(NamedTuple):
    """What a display speaks of."""

    current: "Callable[[], Mapping[str, Any]]"
    """Its entities now, by variable."""
    again: "Callable[[], Any]"
    """The value to show now."""


def _subject(kernel: Kernel, value: Any) -> "_Subject | None":
    if isinstance(value, Compilation):
        names = value.names

        def current() -> "dict[str, Any]":
            known = kernel.entities()
            return {name: known[name] for name in names if name in known} if names else known

        return _Subject(current, lambda: compiled(kernel, names))
    if is_entity(value) and value.resource_type != "task":
        return _by_variable(kernel, value, lambda entity: entity)
    asked = getattr(value, "asked", None) if type(value).__module__ == _PICTURES else None
    if asked is not None and is_entity(asked.entity):
        return _by_variable(kernel, asked.entity, lambda now: now.graph(**asked.options))
    return None


def _by_variable(kernel: Kernel, entity: Any, show: "Callable[[Any], Any]") -> "_Subject | None":
    """What is shown of the entity, whatever its variable holds later."""
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


def _content(value: Any, data: "Mapping[str, Any]") -> Any:
    """What has to change for a display to be worth drawing again."""
    if isinstance(value, Compilation):
        held = [(each.user, each.holder, each.old.short_name) for each in value.held]
        return held, [(one.id, one.state, one.nodes, one.problems) for one in value.entities]
    return data.get("text/html"), data.get("text/plain")
