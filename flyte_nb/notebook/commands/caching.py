"""`%flyte local-cache`."""

from flyte_nb.admin.local_cache import clear_local_cache, local_cache_facts
from flyte_nb.api.errors import UsageError
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.kernel.kernel import Kernel


def local_cache(kernel: Kernel, arguments: Arguments) -> None:
    """Show how many results of local runs are kept and where; with `clear`, forget them.

    Raises:
        UsageError: The action is another word.
        BackendError: It is not clear which folder is meant.
        StorageError: The folder cannot be read or changed.
    """
    action = arguments.first() or "show"
    if action not in ("show", "clear"):
        raise UsageError(f"%flyte local-cache {action}: write show or clear.")
    if action == "clear":
        text = f"Forgot {clear_local_cache().results} results of local runs."
    else:
        text = local_cache_facts().sentence
    kernel.output().show(at_rest.note(text))
