"""The backend's end of a warm host: start it, hand it attempts, hear what became of them."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from flyte_nb.pipe.sockets import receive, send

WARM_VARIABLE = "FLYTE_NB_WARM"
"""`0` in the environment of the backend, of an execution or of a task runs it cold."""

_SEND_TIME = struct.pack("@ll", 5, 0)  # a `timeval`: seconds, microseconds
"""A host that takes nothing for so long is stuck, and is ended."""


def is_possible() -> bool:
    """Whether forks can be trusted here: where the threads of a process can be counted."""
    return os.path.isdir("/proc/self/task")


class WarmAttempt(NamedTuple):
    """One attempt for the warm host."""

    id: str
    arguments: Sequence[str]
    """The options of `flyte-nb execute`."""
    base: Mapping[str, str]
    """Variables that all attempts at the task have; zygotes are kept by them."""
    own: Mapping[str, str]
    """The attempt's own variables, beside and over `base`."""
    cwd: str
    note: str = ""
    """A file for the process's number and start, or nothing."""


class Answer(NamedTuple):
    """What became of an attempt."""

    id: str
    cold: bool
    """Whether the warm host will not run it, and it has to be run cold."""
    why: str = ""
    exit_code: "int | None" = None
    cpu_s: "float | None" = None
    max_rss: "int | None" = None
    """In the system's unit of `ru_maxrss`."""


class Link:
    """A warm host, from its start to its end. `receive` is for one thread; the rest for any."""

    def __init__(
        self,
        environ: "Mapping[str, str] | None" = None,
        *,
        cwd: "str | os.PathLike[str]" = ".",
        log: "str | os.PathLike[str]" = os.devnull,
    ) -> None:
        """Start the host in the folder `cwd`; it boots while the first attempt is handed over.

        What it and the storage plugins print, which is of no single attempt, goes to the file `log`.

        Raises:
            OSError: when it cannot be started.
        """
        self._control, theirs = socket.socketpair()
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIME)
        self._sending = threading.Lock()
        self._base: dict[str, str] | None = None  # guarded by `_sending`: what the host has
        self._closing = False
        with theirs, open(log, "ab") as printed:
            process = subprocess.Popen(
                [sys.executable, "-m", "flyte_nb.runtime.warm", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                env=None if environ is None else dict(environ),
                cwd=cwd,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        self.pid = process.pid
        process.returncode = 0  # `close` waits for it, if it ends in time; Popen must not

    def start(self, attempt: WarmAttempt, stdout: int, stderr: int, lock: "int | None") -> None:
        """Hand it over, with its descriptors.

        Raises:
            OSError: when the host is gone, or stuck.
        """
        fds = (stdout, stderr) if lock is None else (stdout, stderr, lock)
        message = {"kind": "attempt", **attempt._asdict()}
        with self._sending:
            if attempt.base == self._base:
                del message["base"]
            self._send(message, fds)
            if "base" in message:
                self._base = dict(attempt.base)

    def signal(self, id: str, number: int) -> None:
        """Send a signal to the attempt's processes.

        Raises:
            OSError: when the host is gone, or stuck.
        """
        with self._sending:
            self._send({"kind": "signal", "id": id, "number": int(number)})

    def receive(self) -> "Answer | None":
        """The next answer; `None` when the host is gone, or `close` was called."""
        try:
            frame = receive(self._control)
        except OSError:
            return None
        if frame is None:
            return None
        found = {name: value for name, value in frame[0].items() if name != "kind"}
        return Answer(cold=frame[0]["kind"] == "cold", **found)

    def close(self) -> None:
        """Hand over nothing more. The host ends when no attempt runs any more."""
        self._closing = True
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """After `receive` gave `None`: let go of what is left of it."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG if self._closing else 0)

    def _send(self, message: "dict[str, Any]", fds: "Sequence[int]" = ()) -> None:
        """With `_sending` held."""
        try:
            send(self._control, message, fds)
        except BlockingIOError:
            os.kill(self.pid, 9)
            raise
