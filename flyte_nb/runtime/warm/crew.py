"""Threads that wait for work: as many as were ever needed at a time."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Crew:
    """Does things at once. `do` is for one thread."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._free = 0  # guarded by `_lock`

    def do(self, act: "Callable[[], object]") -> None:
        """Have `act` done by a thread that is free, or a new one."""
        with self._lock:
            is_short = self._free == 0
            if not is_short:
                self._free -= 1
        self._work.put(act)
        if is_short:
            thread = threading.Thread(target=self._run, name=f"flyte-nb-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait until all is done, and end the threads."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (act := self._work.get()) is not None:
            act()
            with self._lock:
                self._free += 1
