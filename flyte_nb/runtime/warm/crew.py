"""Threads that wait for work. There are as many as were ever needed at one time.

`concurrent.futures` is not used because it needs a fixed limit, and an attempt that waited for a thread
would wait for another attempt to end.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Crew:
    """Runs functions at once, each in a thread. Only one thread may call `do`."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._free = 0  # guarded by `_lock`

    def do(self, act: "Callable[[], object]") -> None:
        """Call `act` in a free thread, or in a new one if none is free."""
        with self._lock:
            is_short = self._free == 0
            if not is_short:
                # The thread counts as taken from here on, and not only when it wakes. Else two calls could
                # count on one thread.
                self._free -= 1
        self._work.put(act)
        if is_short:
            thread = threading.Thread(target=self._run, name=f"flyte-nb-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait until all calls have returned, and end the threads."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (act := self._work.get()) is not None:
            act()
            with self._lock:
                self._free += 1
