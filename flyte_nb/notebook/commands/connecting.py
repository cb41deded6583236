"""`%flyte connect`, `%flyte status` and `%flyte help`."""

from typing import Any

from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.surface.command import NOTEBOOK
from flyte_nb.surface.lookup import command, commands


def connect(kernel: Kernel, arguments: Arguments) -> None:
    """Connect anew with the given options, and show where the notebook is connected."""
    options: dict[str, Any] = {
        name.replace("-", "_"): value for name, value in arguments.options.items()
    }
    session = kernel.connect(**options)
    kernel.output().show(at_rest.status(session.label, session.scope, session.status()))


def status(kernel: Kernel, arguments: Arguments) -> None:
    """Show where the notebook is connected, and facts about the backend."""
    session = kernel.session
    kernel.output().show(at_rest.status(session.label, session.scope, session.status()))


def help_(kernel: Kernel, arguments: Arguments) -> None:
    """Show all commands, or one of them with its flags."""
    name = arguments.first().removeprefix("%")
    chosen = (command(name, NOTEBOOK),) if name else commands(NOTEBOOK)
    kernel.output().show(at_rest.help_page(chosen))
