"""`flyte-nb execute`: run one task as a container does, and say in files how it went.

The worker's interpreter is started first of all, and boots while this process loads its own modules,
fetches and verifies. The exit status is 0 when `outputs.pb` or `error.pb` was written, for propeller
trusts the file; 1 when neither could be.
"""

import sys

from flyte_nb.runtime import signals, spawn
from flyte_nb.storage.work_folders import WorkFolder, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MISUSED = 2


def main(arguments: "Sequence[str]") -> int:
    """Run the attempt that the options describe; the process's exit status."""
    signals.reset()
    folder, spawned, failure = None, None, None
    try:
        try:
            folder = WorkFolder()
            spawned = spawn.spawn(folder.path)
            folder.hold()
        except OSError as error:
            failure = error
        # Only now: these imports take as long as the worker's interpreter takes to boot.
        from flyte_nb.api.errors import UsageError
        from flyte_nb.runtime.host import run
        from flyte_nb.runtime.options import parse

        try:
            options = parse(arguments)
        except UsageError as misuse:
            sys.stderr.write(f"{misuse}\n")
            return MISUSED
        return run(options, spawned, failure)
    finally:
        if spawned is not None:
            spawn.end(spawned)
        if folder is not None:
            folder.remove()
            sweep()  # last of all: nobody waits for it
