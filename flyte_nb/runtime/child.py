"""The process of a worker as the host sees it: its signals and its end.

There are two kinds: one that this process started (`SpawnedChild`), and a zygote's fork (`warm.forked`).
"""

import os
from typing import Protocol

from flyte_nb.runtime.spawn import Spawned


class Child(Protocol):
    """A worker's process, however it was started."""

    pid: int
    end_fd: "int | None"
    """A descriptor that becomes readable when the process ends; `None` where the system has none."""

    def poll(self) -> "int | None":
        """Return the wait status if the process has ended, without waiting; `None` while it lives."""
        ...

    def wait(self) -> int:
        """Wait for the end of the process; return the wait status (`os.WIFSIGNALED`, …)."""
        ...

    def signal(self, number: int) -> None:
        """Send the process a signal. Nothing happens when it has ended."""
        ...

    def close(self) -> None:
        """Close `end_fd`."""
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
            # With WNOHANG the result is 0 while the process lives.
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
                # The process was not waited for yet, so no other process can have its number.
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """See `Child`."""
        if self.end_fd is not None:
            # Only once: the next file that is opened may get the same number.
            os.close(self.end_fd)
            self.end_fd = None

    def _ended_with(self, status: int) -> int:
        self._status = status
        # `spawn.end` must not kill this number: another process may get it now.
        self._spawned.pid = 0
        return status


def _end_descriptor(pid: int) -> "int | None":
    # Only Linux has it. Elsewhere callers have to ask again and again.
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox
        return None
