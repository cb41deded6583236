"""A worker that its zygote forked, as the host sees it."""

import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from signal import SIGKILL
from typing import Any

from flyte_nb.pipe.sockets import send


class ForkedChild:
    """A `runtime.child.Child` of somebody else's: the zygote tells what became of it.

    Args:
        pid: its process.
        started_s: when it was forked, as `AttemptFolder` of propeller's executors compares it; that was
            before there was an attempt for it.
        waiting_fd: the socket over which it waits for its attempt.
        end_fd: where the zygote tells its end.
        signal: sends a signal to the child's process group, by way of the zygote.
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
        """Whether the zygote ended before it."""
        self._waiting: socket.socket | None = socket.socket(fileno=waiting_fd)
        self._signal = signal
        self._status: int | None = None

    def begin(self, message: "Mapping[str, Any]", fds: "Sequence[int]") -> None:
        """Hand it its attempt, once.

        Raises:
            OSError: when somebody ended it while it waited.
        """
        if self._waiting is None:
            raise ValueError("It has an attempt.")
        send(self._waiting, dict(message), fds)
        self._waiting.close()
        self._waiting = None

    def poll(self) -> "int | None":
        """See `Child`."""
        if self._status is None and self._is_told():
            self.wait()
        return self._status

    def wait(self) -> int:
        """See `Child`."""
        if self._status is None:
            told = self._told().split()
            if told:
                self._status = int(told[0])
                self.cpu_s, self.max_rss = float(told[1]), int(told[2])
            else:  # the zygote itself was killed, and nobody watches the child
                self.orphaned = True
                self._end_orphan()
                self._status = SIGKILL
        return self._status

    def signal(self, number: int) -> None:
        """See `Child`."""
        if self._status is None:
            self._signal(number)

    def close(self) -> None:
        """See `Child`; one that has no attempt ends."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self.end_fd is not None:
            os.close(self.end_fd)
            self.end_fd = None

    def _is_told(self) -> bool:
        waiting = select.poll()
        waiting.register(self._descriptor(), select.POLLIN)
        return bool(waiting.poll(0))

    def _told(self) -> bytes:
        """What the zygote says of its end; nothing when the zygote is gone."""
        heard = b""
        while not heard.endswith(b"\n"):
            chunk = os.read(self._descriptor(), 4096)
            if not chunk:
                return b""
            heard += chunk
        return heard

    def _descriptor(self) -> int:
        if self.end_fd is None:
            raise ValueError("The child was closed.")
        return self.end_fd

    def _end_orphan(self) -> None:
        try:
            os.killpg(self.pid, SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
