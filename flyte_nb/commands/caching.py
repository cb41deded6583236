"""`flyte-nb local-cache show|clear`: the results of cached tasks that ran in kernels."""

import argparse

from flyte_nb.admin.local_cache import clear_local_cache, local_cache_facts
from flyte_nb.commands.terminal import DONE, show


def local_cache(options: argparse.Namespace) -> int:
    """Do the action on the cache of local runs; return the exit code.

    Raises:
        BackendError: it is not clear which folder is meant.
        StorageError: the folder cannot be read or changed.
    """
    if options.action == "clear":
        facts = clear_local_cache(options.home)
        show(options, facts._asdict(), f"Forgot {facts.results} results of local runs.")
        return DONE
    facts = local_cache_facts(options.home)
    show(options, facts._asdict(), facts.sentence)
    return DONE
