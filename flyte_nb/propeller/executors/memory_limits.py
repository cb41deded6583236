"""Keep attempts within their memory limits where the kernel does not: look ten times a second what they use.

One thread looks at all attempts that have a limit. An attempt over it is killed, as the kernel kills a pod's
container. The memory of a process that other processes share is counted in equal parts, so that a process
that forks is not counted twice.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import psutil

LOOK_S = 0.1

Measure = Callable[[int], int]
"""Returns the bytes that a process and its descendants have resident; 0 when it has ended."""


class Guarded(NamedTuple):
    """One attempt with a limit."""

    pid: Callable[[], "int | None"]
    """Returns the number of its process; `None` while it has none."""
    limit: int
    over: Callable[[int], None]
    """Is called once, from the thread, with what the attempt uses when that is over the limit."""


class MemoryGuard:
    """Looks at attempts until they are released. Thread-safe. The thread runs while there are any."""

    def __init__(self, measure: "Measure | None" = None, *, look_s: float = LOOK_S) -> None:
        """Start nothing yet.

        Args:
            measure: Measures a process; `None` means `resident_bytes`.
            look_s: Seconds between two looks.
        """
        self._measure = measure or resident_bytes
        self._look_s = look_s
        self._lock = threading.Lock()
        self._guarded: dict[object, Guarded] = {}  # guarded by `_lock`, as are the next two
        self._peaks: dict[object, int] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def guard(self, key: object, guarded: Guarded) -> None:
        """Look at the attempt from now on."""
        with self._lock:
            self._guarded[key] = guarded
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="flyte-nb-memory", daemon=True
                )
                self._thread.start()

    def release(self, key: object) -> int:
        """Stop looking at the attempt; return the most that was seen of it."""
        with self._lock:
            self._guarded.pop(key, None)
            return self._peaks.pop(key, 0)

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        with self._lock:
            thread, self._guarded = self._thread, {}
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            with self._lock:
                if not self._guarded:
                    # Under the lock: `guard` either finds this thread at work or starts another.
                    self._thread = None
                    return
                guarded = list(self._guarded.items())
            for key, one in guarded:
                self._look(key, one)

    def _look(self, key: object, one: Guarded) -> None:
        pid = one.pid()
        used = self._measure(pid) if pid is not None else 0
        with self._lock:
            # The attempt has ended while it was measured, so the number may belong to another process by now.
            if key not in self._guarded:
                return
            self._peaks[key] = max(used, self._peaks.get(key, 0))
            if used <= one.limit:
                return
            # It is killed once. Its peak stays until `release` asks for it.
            del self._guarded[key]
        # Outside of the lock: killing an attempt may search all processes, and `guard` must not wait for
        # that.
        one.over(used)


def resident_bytes(pid: int) -> int:
    """Return the bytes that the process and its descendants have resident; 0 when it has ended."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                # The process may have ended since it was listed.
                total += _share(each)
    return total


def _share(process: psutil.Process) -> int:
    """Return the memory of the process, with what it shares counted in part where the system tells that."""
    resident = process.memory_info().rss
    try:
        # Source: proc(5), `smaps_rollup`. Reading it takes longer the more memory a process has, but a
        # kernel answers for a gigabyte within some milliseconds.
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return resident
    return resident
