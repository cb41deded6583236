"""The host's part of an attempt once its modules are loaded: worker, signals, and the result.

`carry_out`, `conclude` and `unforeseen` are also what the warm host does for each of its attempts.
"""

import signal
import sys
import time
from collections.abc import Callable

from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.retrying import Retrying, Sleep
from flyte_nb.pipe.pipe import Pipe
from flyte_nb.runtime.attempt import HostedAttempt
from flyte_nb.runtime.child import SpawnedChild
from flyte_nb.runtime.options import Options
from flyte_nb.runtime.process import Worker
from flyte_nb.runtime.results import write_error
from flyte_nb.runtime.spawn import PYTHON_VARIABLE, Spawned, interpreter, spawn
from flyte_nb.storage import open_stores

NOT_WRITTEN = 1


def run(options: Options, spawned: "Spawned | None", failure: "OSError | None") -> int:
    """Run the attempt in the spawned worker; return the exit status of the process.

    Args:
        options: Where the attempt's files are.
        spawned: The started interpreter; `None` when it could not be started.
        failure: Why it could not be started.
    """
    store = open_stores()
    try:
        info = _not_started(failure) if spawned is None else _attempt(options, spawned, store)
    except Exception as error:  # noqa: BLE001 - the container's outermost frame
        info = unforeseen(error)
    return conclude(info, options, store, sys.stderr.write)


def conclude(
    info: "ErrorInfo | None",
    options: Options,
    store: BlobStore,
    say: "Callable[[str], object]",
    *,
    sleep: Sleep = time.sleep,
) -> int:
    """Write the failure, if there is one, to `error.pb` and the log; return the host's exit status."""
    if info is None:
        return 0
    say(f"{info.code}: {info.message}\n")
    try:
        Retrying(sleep)(lambda: write_error(store, options.output_prefix, info))
    except StorageError as error:
        say(f"error.pb could not be written: {error}\n")
        return NOT_WRITTEN
    return 0


def carry_out(attempt: HostedAttempt, worker: Worker) -> "ErrorInfo | None":
    """Run the attempt in its worker, and wait for the worker's end; return the failure, or `None`."""
    try:
        info = attempt.run()
        if info is not None and not worker.has_answered:
            # It failed on our side, and the worker may still be running the task. One that has answered
            # ends by itself, after its exit handlers.
            worker.kill()
        worker.finish()
        return info
    finally:
        worker.kill()
        worker.close()


def _attempt(options: Options, spawned: Spawned, store: BlobStore) -> "ErrorInfo | None":
    worker = Worker(*_served(spawned), start=lambda python: _served(spawn(spawned.folder, python)))
    previous = signal.signal(signal.SIGTERM, lambda *_: worker.forward_sigterm())
    try:
        return carry_out(HostedAttempt(options, store, worker, spawned.folder, time.sleep), worker)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _served(spawned: Spawned) -> "tuple[Pipe, SpawnedChild]":
    return Pipe(spawned.read_fd, spawned.write_fd, spawned.folder), SpawnedChild(spawned)


def _not_started(failure: "OSError | None") -> ErrorInfo:
    message = (
        f"The worker cannot be started with {interpreter()!r}: {failure}."
        f" If {PYTHON_VARIABLE} is set, it must be the path of a Python on this machine or in the"
        " task's image."
        " The folder for temporary files (TMPDIR) must be writable."
    )
    return ErrorInfo("SYSTEM:WorkerStart", message, SYSTEM)


def unforeseen(error: Exception) -> ErrorInfo:
    """Return the failure for an exception that is a fault of this package."""
    # Start-up: only such a failure needs it.
    from flyte_nb.worker.failures import describe

    message = (
        "The runtime failed by a fault of its own. Please report it, with this text."
        f"\n{describe(error)}"
    )
    return ErrorInfo("SYSTEM:RuntimeError", message, SYSTEM, recoverable=True)
