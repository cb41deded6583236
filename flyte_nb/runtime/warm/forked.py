"""A worker that its zygote forked, as the host sees it."""

import json
import os
import select
from collections.abc import Callable
from signal import SIGKILL
from typing import Any


class ForkedChild:
    """A `runtime.child.Child` of somebody else's: the zygote tells what became of it.

    Args:
        end_fd: where the zygote writes its pid and, later, its end.
        signal: sends a signal to the child's process group, by way of the zygote.
    """

    end_fd: "int | None"

    def __init__(self, end_fd: int, signal: "Callable[[int], None]") -> None:
        self.end_fd = end_fd
        self.cpu_s: float | None = None
        self.max_rss: int | None = None
        """In the system's unit of `ru_maxrss`."""
        self.orphaned = False
        """Whether the zygote ended before it."""
        self._signal = signal
        self._status: int | None = None
        self._heard = b""
        begin = self._line()
        self.pid = int(begin.get("pid", 0))
        self.started_s = float(begin.get("started_s", 0))
        """Seconds since the epoch; it was forked before there was an attempt for it."""

    def poll(self) -> "int | None":
        """See `Child`."""
        if self._status is None and self._is_told():
            self.wait()
        return self._status

    def wait(self) -> int:
        """See `Child`."""
        if self._status is None:
            end = self._line()
            self.cpu_s, self.max_rss = end.get("cpu_s"), end.get("max_rss")
            status = end.get("status")
            if status is None:  # the zygote itself was killed, and nobody watches the child
                self.orphaned = True
                self._end_orphan()
                status = SIGKILL
            self._status = int(status)
        return self._status

    def signal(self, number: int) -> None:
        """See `Child`."""
        if self._status is None:
            self._signal(number)

    def close(self) -> None:
        """See `Child`."""
        if self.end_fd is not None:
            os.close(self.end_fd)
            self.end_fd = None

    def _is_told(self) -> bool:
        waiting = select.poll()
        waiting.register(self._descriptor(), select.POLLIN)
        return bool(waiting.poll(0))

    def _line(self) -> "dict[str, Any]":
        """The next line; empty when the zygote is gone."""
        while b"\n" not in self._heard:
            chunk = os.read(self._descriptor(), 4096)
            if not chunk:
                return {}
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _descriptor(self) -> int:
        if self.end_fd is None:
            raise ValueError("The child was closed.")
        return self.end_fd

    def _end_orphan(self) -> None:
        if self.pid:
            try:
                os.killpg(self.pid, SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
