"""`flyte-nb execute`: run one task as a container does, and say in files how it went.

The worker's interpreter boots while this process fetches and verifies. The exit status is 0 when
`outputs.pb` or `error.pb` was written, for propeller trusts the file; 1 when neither could be.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence

from flyte_nb.api.errors import SYSTEM, BundleError, ErrorInfo, StorageError, UsageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.runtime.attempt import Attempt
from flyte_nb.runtime.options import Options, parse
from flyte_nb.runtime.process import Worker
from flyte_nb.runtime.results import write_error
from flyte_nb.storage import open_stores

NOT_WRITTEN = 1
MISUSED = 2


def main(arguments: "Sequence[str]") -> int:
    """Run the attempt that the options describe; the process's exit status."""
    try:
        options = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return MISUSED
    store = open_stores()
    try:
        info = _run(options, store)
    except Exception as error:  # noqa: BLE001 - the container's outermost frame
        info = _unforeseen(error)
    if info is None:
        return 0
    try:
        write_error(store, options.output_prefix, info)
    except StorageError as error:
        sys.stderr.write(f"error.pb could not be written: {error}\n{info.code}: {info.message}\n")
        return NOT_WRITTEN
    sys.stderr.write(f"{info.code}: {info.message}\n")
    return 0


def _run(options: Options, store: BlobStore) -> "ErrorInfo | None":
    folder = _work_folder()
    try:
        try:
            worker = Worker.start(folder)
        except BundleError as error:
            return ErrorInfo(error.code, str(error), SYSTEM)
        previous = signal.signal(signal.SIGTERM, lambda *_: worker.forward_sigterm())
        try:
            info = Attempt(options, store, worker, folder, time.sleep).run()
            if info is not None:
                worker.kill()
            worker.finish()
            return info
        finally:
            worker.kill()
            signal.signal(signal.SIGTERM, previous)
    finally:
        _remove(folder)


def _unforeseen(error: Exception) -> ErrorInfo:
    from flyte_nb.worker.failures import describe

    message = (
        "The runtime met something that it does not know. Please report it, with this text."
        f"\n{describe(error)}"
    )
    return ErrorInfo("SYSTEM:RuntimeError", message, SYSTEM, recoverable=True)


def _work_folder() -> str:
    """A new folder that only this user reads. Not tempfile: it costs 8 ms to import."""
    root = os.environ.get("TMPDIR") or "/tmp"
    path = os.path.join(root, f"flyte-nb-{os.getpid()}-{os.urandom(6).hex()}")
    os.mkdir(path, 0o700)
    return path


def _remove(path: str) -> None:
    """Remove a tree, as far as possible. Not shutil: it costs 5 ms to import."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _remove(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        return
