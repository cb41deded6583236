"""`%flyte` and `%%task`: each reads its line and calls a function.

The function of a `%flyte` command is in the table of commands, by its dotted name. So what a command needs
is imported when it is first called, and loading the extension stays quick.
"""

from collections.abc import Callable, Mapping
from typing import Any

from IPython.core.magic import needs_local_scope, no_var_expand

from flyte_nb.notebook.arguments import parse
from flyte_nb.notebook.interpolation import names_in
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.shell.task_cell import define
from flyte_nb.surface.command import NOTEBOOK
from flyte_nb.surface.lookup import overview


def register(kernel: Kernel) -> "Callable[[], None]":
    """Add the magics to the kernel's shell; the returned function removes them."""

    def flyte(line: str, local_ns: "Mapping[str, Any] | None" = None) -> Any:
        arguments = parse(line).within(names_in(kernel.namespace, local_ns))
        return arguments.command.function()(kernel, arguments)

    flyte.__doc__ = (  # what `%flyte?` shows
        "Register, launch and watch from the notebook; `%flyte COMMAND --help` has the flags.\n\n"
        f"{overview(NOTEBOOK)}"
    )

    def task(line: str, cell: str) -> None:
        """Make the cell a task: `%%task score(rows: list, limit: int = 3) -> share: float, note: str`.

        The body sees the inputs as variables and sets the outputs by their names:

            %%task score(rows: list[float], limit: int = 3) -> share: float, note: str
            share = sum(row > limit for row in rows) / len(rows)
            note = f"of {len(rows)}"
        """
        __tracebackhide__ = True
        define(kernel, line, cell)

    # IPython would replace braces and dollars before we see the line; `interpolation` says why not.
    no_var_expand(flyte)
    no_var_expand(task)
    needs_local_scope(flyte)
    shell = kernel.shell
    shell.register_magic_function(flyte, "line", "flyte")
    shell.register_magic_function(task, "cell", "task")

    def undo() -> None:
        shell.magics_manager.magics["line"].pop("flyte", None)
        shell.magics_manager.magics["cell"].pop("task", None)

    return undo
