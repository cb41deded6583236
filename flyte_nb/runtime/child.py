"""The process in which a worker runs, as the host sees it: its signals and its end."""

import os
from typing import Protocol

from flyte_nb.runtime.spawn import Spawned


class Child(Protocol):
    """A worker's process, whoever started it."""

    pid: int
    end_fd: "int | None"
    """Becomes readable when the process ends, where the system has such a descriptor."""

    def poll(self) -> "int | None":
        """The wait status when it has ended, without waiting; `None` while it lives."""
        ...

    def wait(self) -> int:
        """Wait for its end; the wait status (`os.WIFSIGNALED`, …)."""
        ...

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        ...

    def close(self) -> None:
        """Let go of the descriptor."""
        ...


class SpawnedChild:
    """A `Child` that this process started."""

    def __init__(self, spawned: Spawned) -> None:
        self.pid = spawned.pid
        self.end_fd = _end_descriptor(spawned.pid)
        self._spawned = spawned
        self._status: int | None = None

    def poll(self) -> "int | None":
        """See `Child`."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended_with(status)
        return self._status

    def wait(self) -> int:
        """See `Child`."""
        if self._status is None:
            return self._ended_with(os.waitpid(self.pid, 0)[1])
        return self._status

    def signal(self, number: int) -> None:
        """See `Child`."""
        if self._status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """See `Child`."""
        if self.end_fd is not None:
            os.close(self.end_fd)
            self.end_fd = None

    def _ended_with(self, status: int) -> int:
        self._status = status
        self._spawned.pid = 0  # nothing is left to be ended
        return status


def _end_descriptor(pid: int) -> "int | None":
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox
        return None
