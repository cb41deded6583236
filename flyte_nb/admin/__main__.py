"""`python -m flyte_nb.admin`: the process that serves a home folder until it gets SIGTERM or SIGINT."""

import argparse
import json
import logging
import logging.handlers
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import psutil

from flyte_nb.admin.home import Home, Serving, private
from flyte_nb.admin.locks import FileLock
from flyte_nb.admin.own_process import log_standard_streams
from flyte_nb.admin.server import Backend
from flyte_nb.api.errors import BackendError
from flyte_nb.api.version import __version__
from flyte_nb.propeller.executors.processes import started_s
from flyte_nb.runtime import signals
from flyte_nb.runtime.machine import this_machine
from flyte_nb.runtime.variables import DASK_VARIABLE

_LOG = logging.getLogger("flyte_nb.admin")
_LOG_BYTES = 5_000_000
_LOG_FILES = 3
_TAKE_TIMEOUT_S = 1.0
_CHECK_S = 0.25
"""How often the process checks that the folder is still its own."""
_LOST = 3


def main(arguments: "list[str] | None" = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flyte_nb.admin", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="the home folder")
    parser.add_argument(
        "--ready-fd",
        type=int,
        default=None,
        help="a descriptor on which to report that it serves, or why not",
    )
    parser.add_argument("--detach", action="store_true", help="continue in the background at once")
    options = parser.parse_args(arguments)
    signals.reset()
    if options.detach:
        _detach()
    try:
        _serve(Home(options.home), options.ready_fd, detached=options.detach)
    except BackendError as error:
        _LOG.error("%s", error)
        if options.ready_fd is not None:
            _report(options.ready_fd, {"error": error.message, "hint": error.hint})
        else:
            sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _serve(home: Home, ready: "int | None", *, detached: bool) -> None:
    home.prepare()
    _log_to(home)
    signalled = _signals()
    with FileLock(home.serving_lock) as serving_lock:
        # Read before this process writes its own: the former port is tried first.
        former = home.serving()
        _take(serving_lock, home)
        backend = Backend(home)
        backend.start(port=former.port if former else 0)
        serving = _this_process(backend.port)
        try:
            home.write_serving(serving)
            if ready is None:
                sys.stdout.write(f"{backend.endpoint}\n")
                sys.stdout.flush()
            # Not earlier: when a start fails, the client quotes what is in `start.log`. Not after the
            # report: from then on the client takes the process for one that is all set up.
            if detached:
                log_standard_streams()
            if ready is not None:
                _report(ready, {"endpoint": backend.endpoint})
            _wait(signalled, serving_lock, home)
            _LOG.info("stopping")
        finally:
            if serving_lock.is_lost():
                _vanish(home)
            # Clients no longer find this process; the next one tries the same port.
            home.write_serving(serving._replace(pid=0, started_at=0.0))
            backend.stop()


def _this_process(port: int) -> Serving:
    machine = this_machine()
    return Serving(
        pid=os.getpid(),
        started_at=psutil.Process().create_time(),
        port=port,
        version=__version__,
        host=machine.host,
        boot=machine.boot,
        began_s=started_s(os.getpid()),
        python=sys.executable,
        dask=os.environ.get(DASK_VARIABLE, "").strip(),
    )


def _wait(signalled: int, serving_lock: FileLock, home: Home) -> None:
    """Return when a signal came; end the process when the folder is no longer its own."""
    while not select.select([signalled], [], [], _CHECK_S)[0]:
        if serving_lock.is_lost():
            _vanish(home)


def _vanish(home: Home) -> NoReturn:
    """End at once and write nothing: another backend may have files at these paths by now.

    An orderly end would close the database, and that removes the other backend's journal by its name.
    Attempts go on. If the folder was moved, the next backend there adopts them.
    """
    sys.stderr.write(f"{home.folder} was removed or moved; the backend that served it ends.\n")
    os._exit(_LOST)


def _signals() -> int:
    """Return a descriptor that can be read once SIGTERM or SIGINT came.

    An event that a handler sets would not do: handlers run only in the main thread, and a signal that
    another thread receives does not wake it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _detach() -> None:
    """Continue in a process that has no parent here, in a session of its own.

    Called before any thread starts, because a fork keeps only the thread that forks.
    """
    if os.fork():
        os._exit(0)
    os.setsid()


def _take(lock: FileLock, home: Home) -> None:
    """Take the lock for as long as the process runs; raise `BackendError` when another one serves."""
    # A client that only looks holds the lock for a moment, so one failure means nothing.
    try:
        lock.acquire(_TAKE_TIMEOUT_S)
    except BackendError as error:
        serving = home.serving()
        who = f" (process {serving.pid})" if serving else ""
        raise BackendError(
            f"A backend serves {home.folder} already{who}.",
            hint="Use it, or stop it with `flyte-nb down`.",
        ) from error


def _report(descriptor: int, answer: "dict[str, str]") -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(answer).encode() + b"\n")


class _PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that only this user may read."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=private)


def _log_to(home: Home) -> None:
    handler = _PrivateFileHandler(home.log_file, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES - 1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("flyte_nb")
    root.addHandler(handler)
    root.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
