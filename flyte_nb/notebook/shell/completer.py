"""Tab completion for `%flyte`: sub-commands, flags, and the names of entities and executions.

It is a matcher of IPython's completer (API version 2), because the older hook also offers Python builtins
after `--`. It never raises and never connects: names of executions are offered once a session exists.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.hints import parameters_of, undecorated
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.surface.command import COMMAND, ENTITY, EXECUTION, NODE, NOTEBOOK, Command
from flyte_nb.surface.lookup import command, commands

_LINE = re.compile(r"^\s*(?:\w+\s*=\s*)?%flyte(?:\s+(?P<rest>.*))?$")


def candidates(kernel: Kernel, line: str) -> "tuple[str, list[str]] | None":
    """Return what may come next in a line of `%flyte`.

    Args:
        kernel: The kernel whose entities and executions are offered.
        line: The line up to the cursor.

    Returns:
        The fragment that is being typed and every text that it may become; `None` when the line does
        not call `%flyte`.
    """
    match = _LINE.match(line)
    if match is None or not re.match(r".*%flyte\s", line):
        return None
    words = (match["rest"] or "").split(" ")
    fragment = words.pop()
    words = [word for word in words if word]
    if not words:
        return fragment, _starting(fragment, _names())
    try:
        row = command(words[0], NOTEBOOK)
    except UsageError:
        return fragment, []
    if fragment.startswith("-"):
        return fragment, _starting(fragment, [option.flag for option in row.options])
    given = [word for word in words[1:] if not word.startswith("-")]
    return fragment, _starting(fragment, _arguments(kernel, row, words, given))


def _arguments(
    kernel: Kernel, row: Command, words: "list[str]", given: "list[str]"
) -> "Iterable[str]":
    last = words[-1]
    for option in row.options:
        if option.flag == last and option.takes:
            return option.choices
    if row.takes_inputs and given:
        return _inputs(kernel, given[0])
    index = len(given)
    if index >= len(row.positionals):
        many = row.positionals and row.positionals[-1].many
        if not many:
            return ()
        index = len(row.positionals) - 1
    takes = row.positionals[index].takes
    if takes == ENTITY:
        return kernel.entities()
    if takes == EXECUTION:
        return _executions(kernel)
    if takes == NODE:
        return _nodes(kernel, given[0])
    return _names() if takes == COMMAND else ()


def _names() -> "list[str]":
    return [each.name for each in commands(NOTEBOOK)]


def _inputs(kernel: Kernel, name: str) -> "Iterable[str]":
    entity = kernel.entities().get(name)
    callee = entity.workflow if isinstance(entity, LaunchPlan) else entity
    if entity is None or not isinstance(callee, Callee):
        return ()
    names = parameters_of(undecorated(callee.function)).names
    return [f"{each}=" for each in names if each not in entity.fixed_inputs]


def _executions(kernel: Kernel) -> "Iterable[str]":
    if not kernel.connected:
        return ()
    try:
        return [view.id.name for view in kernel.session.executions(20)]
    except FlyteNbError:
        return ()


def _nodes(kernel: Kernel, execution: str) -> "Iterable[str]":
    if not kernel.connected:
        return ()
    try:
        return [node.node_id for node in kernel.session.execution(execution).view().nodes]
    except FlyteNbError:
        return ()


def _starting(fragment: str, names: "Iterable[str]") -> "list[str]":
    return [name for name in names if name.startswith(fragment)]


def register(kernel: Kernel) -> "Callable[[], None]":
    """Add the matcher to the kernel's completer; the returned function removes it."""

    @context_matcher(identifier="flyte_nb")  # type: ignore[untyped-decorator]
    def flyte_matcher(context: Any) -> Any:
        found = candidates(kernel, context.line_with_cursor[: context.cursor_position])
        if found is None:
            return {"completions": []}
        fragment, names = found
        return {
            "completions": [SimpleCompletion(text=name, type="keyword") for name in names],
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    matchers = kernel.shell.Completer.custom_matchers
    matchers.append(flyte_matcher)

    def undo() -> None:
        if flyte_matcher in matchers:
            matchers.remove(flyte_matcher)

    return undo
