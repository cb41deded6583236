"""`%flyte bundle`: show what travels with each task, and why. Nothing is sent."""

from flyte_nb.api.errors import UsageError
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands.registering import chosen_entities
from flyte_nb.notebook.kernel.kernel import Kernel


def bundle(kernel: Kernel, arguments: Arguments) -> None:
    """Show the bundles of the named entities, or of everything that the notebook defines.

    Raises:
        UsageError: There is no task among them, or no entity of that name.
    """
    entities = chosen_entities(kernel, arguments.positionals)
    session = kernel.session
    found = session.bundle(*entities)
    if not found.tasks:
        raise UsageError(
            "There is no task among these, so there is no bundle: only the code of tasks travels."
        )
    kernel.output().show(at_rest.bundle(found, label=session.label, humanize=kernel.cells.humanize))
