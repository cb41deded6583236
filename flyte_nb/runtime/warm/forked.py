"""A worker that a zygote forked, as the host sees it.

The host is not its parent, so it cannot wait for it. The zygote waits, and writes one line into a pipe:
wait status, CPU seconds, largest memory. If the pipe closes without a line, the zygote is dead.
"""

import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from signal import SIGKILL
from typing import Any

from flyte_nb.pipe.sockets import send


class ForkedChild:
    """A `runtime.child.Child` that a zygote forked.

    Args:
        pid: Its process number.
        started_s: When it was forked, by the clock of `propeller.executors.processes`. That was before
            there was an attempt for it.
        waiting_fd: The socket over which it waits for its attempt.
        end_fd: The pipe into which the zygote writes how it ended.
        signal: Sends a signal to its process group, by way of the zygote.
    """

    end_fd: "int | None"

    def __init__(
        self,
        pid: int,
        started_s: float,
        waiting_fd: int,
        end_fd: int,
        signal: "Callable[[int], None]",
    ) -> None:
        self.pid = pid
        self.started_s = started_s
        self.end_fd = end_fd
        self.cpu_s: float | None = None
        self.max_rss: int | None = None
        """In the system's unit of `ru_maxrss`."""
        self.orphaned = False
        """Whether the zygote died before it, so that its exit is unknown."""
        self._waiting: socket.socket | None = socket.socket(fileno=waiting_fd)
        self._signal = signal
        self._status: int | None = None

    def begin(self, message: "Mapping[str, Any]", fds: "Sequence[int]") -> None:
        """Hand the fork its attempt. It can have one only.

        Raises:
            OSError: when the fork was killed while it waited.
            ValueError: when it has an attempt already, or was closed.
        """
        if self._waiting is None:
            raise ValueError("The fork has an attempt already, or was closed.")
        send(self._waiting, dict(message), fds)
        self._waiting.close()
        self._waiting = None

    def poll(self) -> "int | None":
        """See `Child`."""
        if self._status is None and self._has_report():
            self.wait()
        return self._status

    def wait(self) -> int:
        """See `Child`."""
        if self._status is None:
            report = self._report().split()
            if report:
                self._status = int(report[0])
                self.cpu_s, self.max_rss = float(report[1]), int(report[2])
            else:
                # The zygote was killed. Nobody watches the fork any more, so it must not go on.
                self.orphaned = True
                self._end_orphan()
                # In a wait status the low seven bits are the signal that ended the process.
                self._status = SIGKILL
        return self._status

    def signal(self, number: int) -> None:
        """See `Child`."""
        if self._status is None:
            self._signal(number)

    def close(self) -> None:
        """See `Child`. A fork that has no attempt ends by this."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self.end_fd is not None:
            os.close(self.end_fd)
            self.end_fd = None

    def _has_report(self) -> bool:
        waiting = select.poll()
        # A pipe that hung up is reported too, whether it was asked for or not.
        waiting.register(self._descriptor(), select.POLLIN)
        return bool(waiting.poll(0))

    def _report(self) -> bytes:
        """Return the zygote's line about the fork's end; empty when the zygote is dead."""
        report = b""
        while not report.endswith(b"\n"):
            chunk = os.read(self._descriptor(), 4096)
            # The pipe closed before a whole line: the zygote was killed.
            if not chunk:
                return b""
            report += chunk
        return report

    def _descriptor(self) -> int:
        if self.end_fd is None:
            raise ValueError("The fork was closed.")
        return self.end_fd

    def _end_orphan(self) -> None:
        try:
            # The whole group, so that programs that the task started end too.
            os.killpg(self.pid, SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
