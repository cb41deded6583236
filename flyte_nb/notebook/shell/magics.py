"""`%flyte` and `%%task`: each dispatches to a function that anything else could call as well."""

from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.notebook.arguments import Arguments, overview, parse
from flyte_nb.notebook.interpolation import names_in
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.shell.task_cell import define

Handler = Callable[[Kernel, Arguments], Any]


def handlers() -> "dict[str, Handler]":
    """The function of each command; what it needs is imported when it is first called."""
    return {
        "connect": _late("connecting", "connect"),
        "status": _late("connecting", "status"),
        "help": _late("connecting", "help_"),
        "bundle": _late("bundling", "bundle"),
        "compile": _late("compiling", "compile_"),
        "register": _late("registering", "register"),
        "launch": _late("launching", "launch"),
        "watch": _late("watching", "watch"),
        "graph": _late("graphing", "graph"),
        "executions": _late("watching", "executions"),
        "terminate": _late("watching", "terminate"),
        "logs": _late("watching", "logs"),
    }


def _late(module: str, name: str) -> Handler:
    def call(kernel: Kernel, arguments: Arguments) -> Any:
        from importlib import import_module

        handler = getattr(import_module(f"flyte_nb.notebook.commands.{module}"), name)
        return handler(kernel, arguments)

    return call


def register(kernel: Kernel) -> "Callable[[], None]":
    """Add the magics to the kernel's shell; the result takes them away."""
    commands = handlers()

    def flyte(line: str, local_ns: "Mapping[str, Any] | None" = None) -> Any:
        arguments = parse(line).within(names_in(kernel.namespace, local_ns))
        return commands[arguments.command.name](kernel, arguments)

    flyte.__doc__ = (  # what `%flyte?` shows
        "Register, launch and watch from the notebook; `%flyte COMMAND --help` has the flags.\n\n"
        f"{overview()}"
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

    from IPython.core.magic import needs_local_scope, no_var_expand

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
