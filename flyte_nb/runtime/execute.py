"""`flyte-nb execute`: run one task as its container does, and leave the result in files.

The worker's interpreter is started before anything else. It boots while this process imports its own
modules, fetches and verifies. So this file imports almost nothing at its top.

The exit status is 0 when `outputs.pb` or `error.pb` was written, because propeller then trusts the
file, and 1 when neither could be written.
"""

import sys

from flyte_nb.runtime import signals, spawn
from flyte_nb.storage.work_folders import WorkFolder, sweep

# `typing` is not imported at run time, since importing it takes longer than starting the worker.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MISUSED = 2


def main(arguments: "Sequence[str]") -> int:
    """Run the attempt that the options describe; return the exit status of the process."""
    signals.reset()
    folder, spawned, failure = None, None, None
    try:
        try:
            folder = WorkFolder()
            spawned = spawn.spawn(folder.path)
            folder.hold()
        except OSError as error:
            # It is reported below, in `error.pb`: that needs the imports that come now.
            failure = error
        # Start-up: these imports take as long as the worker's interpreter takes to boot.
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
            # Other attempts that were killed have left folders. Last of all, because nobody waits for it.
            sweep()
