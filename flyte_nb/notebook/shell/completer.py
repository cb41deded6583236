"""Tab completion for `%flyte`: sub-commands, flags, and the names of entities and executions.

A matcher of IPython's completer (API version 2), because the older hook also offers Python builtins
after `--`. It never raises and never connects: names of executions are offered once a session exists.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.notebook import arguments as args
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.hints import parameters_of, undecorated
from flyte_nb.sdk.launch_plan import LaunchPlan

_LINE = re.compile(r"^\s*(?:\w+\s*=\s*)?%flyte(?:\s+(?P<rest>.*))?$")


def candidates(kernel: Kernel, line: str) -> "tuple[str, list[str]] | None":
    """What may come next.

    Args:
        kernel: Where the entities are.
        line: The line up to the cursor.

    Returns:
        The fragment that is being typed and what it may become; `None` when the line is not ours.
    """
    match = _LINE.match(line)
    if match is None or not re.match(r".*%flyte\s", line):
        return None
    words = (match["rest"] or "").split(" ")
    fragment = words.pop()
    words = [word for word in words if word]
    if not words:
        return fragment, _starting(fragment, [row.name for row in args.COMMANDS])
    try:
        row = args.command(words[0])
    except UsageError:
        return fragment, []
    if fragment.startswith("-"):
        return fragment, _starting(fragment, [option.flag for option in row.options])
    given = [word for word in words[1:] if not word.startswith("-")]
    return fragment, _starting(fragment, _arguments(kernel, row, words, given))


def _arguments(
    kernel: Kernel, row: args.Command, words: "list[str]", given: "list[str]"
) -> "Iterable[str]":
    last = words[-1]
    taken = [o.takes for o in row.options if o.flag == last and o.takes]
    if taken:
        return ("layered", "dot") if taken[0] == args.ENGINE else ()
    if row.takes_inputs and given:
        return _inputs(kernel, given[0])
    index = len(given)
    if index >= len(row.positionals):
        many = row.positionals and row.positionals[-1].many
        if not many:
            return ()
        index = len(row.positionals) - 1
    takes = row.positionals[index].takes
    if takes == args.ENTITY:
        return kernel.entities()
    if takes == args.EXECUTION:
        return _executions(kernel)
    if takes == args.NODE:
        return _nodes(kernel, given[0])
    return [row.name for row in args.COMMANDS] if takes == args.COMMAND else ()


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
    """Add the matcher to the kernel's completer; the result takes it away."""
    from IPython.core.completer import SimpleCompletion, context_matcher

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
