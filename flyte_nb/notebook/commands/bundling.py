"""`%flyte bundle`: what travels with each task, and why. Nothing is sent."""

from flyte_nb.api.errors import UsageError
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands.registering import chosen_entities
from flyte_nb.notebook.kernel.kernel import Kernel


def bundle(kernel: Kernel, arguments: Arguments) -> None:
    """Show the bundles of what is named, or of everything that the notebook defines.

    Raises:
        UsageError: There is nothing that could travel.
    """
    entities = chosen_entities(kernel, arguments.positionals)
    session = kernel.session
    found = session.bundle(*entities)
    if not found.tasks:
        raise UsageError("No task travels: a bundle is what a task takes along.")
    kernel.output().show(at_rest.bundle(found, label=session.label, humanize=kernel.cells.humanize))
