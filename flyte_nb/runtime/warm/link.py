"""The backend's end of a warm host: start the host, hand it attempts, receive how they ended."""

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
"""`0` in the environment of the backend, of an execution or of a task turns the warm path off for it."""

_SEND_TIME = struct.pack("@ll", 5, 0)
"""A `timeval` of 5 seconds. A host that reads nothing for so long is stuck, and is killed."""


def is_possible() -> bool:
    """Return whether this system can fork safely: where the threads of a process can be counted (Linux).

    A fork has only the thread that forked. If another one held a lock, the fork could wait for it for ever.
    """
    return os.path.isdir("/proc/self/task")


class WarmAttempt(NamedTuple):
    """One attempt for the warm host."""

    id: str
    arguments: Sequence[str]
    """The options of `flyte-nb execute`."""
    base: Mapping[str, str]
    """Variables that all attempts at the task have. They are part of a zygote's key."""
    own: Mapping[str, str]
    """Variables of this attempt only, over those in `base`."""
    cwd: str
    note: str = ""
    """The path of a file for the process's number and start; empty for none."""
    limits: "Sequence[object] | None" = None
    """The fields of a `ProcessLimits`; `None` when there are none."""


class AttemptEnd(NamedTuple):
    """How an attempt ended, or that it has to run cold."""

    id: str
    cold: bool
    """Whether the warm host did not run the attempt, so that it has to run cold."""
    why: str = ""
    exit_code: "int | None" = None
    cpu_s: "float | None" = None
    max_rss: "int | None" = None
    """In the system's unit of `ru_maxrss`."""


class WarmLink:
    """A warm host from its start to its end. One thread may call `receive`; any may call the rest."""

    def __init__(
        self,
        environ: "Mapping[str, str] | None" = None,
        *,
        cwd: "str | os.PathLike[str]" = ".",
        log: "str | os.PathLike[str]" = os.devnull,
    ) -> None:
        """Start the host, which boots while the first attempt is handed over.

        Args:
            environ: Its variables; `None` means those of this process.
            cwd: Its working folder.
            log: The file for what it and the storage plugins print. That belongs to no single attempt.

        Raises:
            OSError: when it cannot be started.
        """
        self._control, theirs = socket.socketpair()
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIME)
        self._sending = threading.Lock()
        self._base: dict[str, str] | None = None  # guarded by `_sending`: what the host has
        self._closing = False
        # Closed here after the start. With a copy of the host's end, this process would never see its death.
        with theirs, open(log, "ab") as printed:
            process = subprocess.Popen(
                [sys.executable, "-m", "flyte_nb.runtime.warm", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                env=None if environ is None else dict(environ),
                cwd=cwd,
                # Ctrl-C at the backend's terminal must not end the attempts.
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        self.pid = process.pid
        process.returncode = 0  # `release` waits for it, so Popen must not

    def start(self, attempt: WarmAttempt, stdout: int, stderr: int, lock: "int | None") -> None:
        """Hand an attempt to the host, with the descriptors of its output and its lock.

        Raises:
            OSError: when the host is dead, or stuck.
        """
        fds = (stdout, stderr) if lock is None else (stdout, stderr, lock)
        message = {"kind": "attempt", **attempt._asdict()}
        with self._sending:
            # Hundreds of attempts in a row have the same variables, which are most of a message.
            if attempt.base == self._base:
                del message["base"]
            self._send(message, fds)
            # Only after it was sent: otherwise the host would be taken to have variables that it never got.
            if "base" in message:
                self._base = dict(attempt.base)

    def signal(self, id: str, number: int) -> None:
        """Send a signal to the attempt's processes.

        Raises:
            OSError: when the host is dead, or stuck.
        """
        with self._sending:
            self._send({"kind": "signal", "id": id, "number": int(number)})

    def receive(self) -> "AttemptEnd | None":
        """Wait for the next answer and return it; `None` when the host is dead, or `close` was called."""
        try:
            frame = receive(self._control)
        except OSError:
            return None
        if frame is None:
            return None
        found = {name: value for name, value in frame[0].items() if name != "kind"}
        return AttemptEnd(cold=frame[0]["kind"] == "cold", **found)

    def close(self) -> None:
        """Hand over no further attempts. The host ends when its last attempt has ended."""
        self._closing = True
        with suppress(OSError):
            # `close` alone does not wake a thread that waits in `receive`.
            self._control.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket and reap the host, after `receive` returned `None`."""
        self._control.close()
        with suppress(ChildProcessError):
            # After `close` the host may go on for hours, so only look.
            os.waitpid(self.pid, os.WNOHANG if self._closing else 0)

    def _send(self, message: "dict[str, Any]", fds: "Sequence[int]" = ()) -> None:
        """Send one frame. The caller holds `_sending`."""
        try:
            send(self._control, message, fds)
        except BlockingIOError:
            # Half a frame may have been sent, so nothing after it could be read.
            os.kill(self.pid, 9)
            raise
