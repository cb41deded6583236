"""Call functions in daemon threads of this process, and interrupt them from outside.

`concurrent.futures` is not used: its threads keep the interpreter from ending while a call hangs, and a
call that runs cannot be interrupted.
"""

import contextvars
import ctypes
import threading
from collections.abc import Callable
from queue import SimpleQueue

from flyte_nb.worker.interrupts import TaskInterrupted


class ThreadCall:
    """One call in a thread."""

    def __init__(self, act: "Callable[[], object]") -> None:
        """Describe the call; it sees the context variables of the code that makes this value."""
        self._act = act
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._thread = 0  # guarded by `_lock`, as is the next; 0 while no thread is in `act`
        self.interrupted = False
        """Whether it was interrupted. Its thread is then not used again: the exception may still come."""

    def run(self) -> None:
        """Make the call in this thread. An interrupt ends it; `act` itself lets no other exception out."""
        with self._lock:
            if self.interrupted:
                return
            self._thread = threading.get_ident()
        try:
            self._context.run(self._act)
        finally:
            with self._lock:
                self._thread = 0

    def interrupt(self) -> None:
        """Raise `TaskInterrupted` in the call, at its next step in Python code. May be called twice.

        Code that does not run Python, such as a long `time.sleep` or a query, goes on until it returns.
        """
        with self._lock:
            self.interrupted = True
            if self._thread:
                # The interpreter's own way to interrupt a thread; a signal reaches the main thread only.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(TaskInterrupted)
                )


class Threads:
    """Threads that wait for calls. There are as many as were ever needed at one time. For one caller."""

    def __init__(self) -> None:
        self._work: SimpleQueue[ThreadCall | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0  # guarded by `_lock`, as is the next
        self._alive = 0

    def start(self, call: ThreadCall) -> None:
        """Make the call in a free thread, or in a new one if none is free."""
        with self._lock:
            is_short = self._free == 0
            if is_short:
                self._alive += 1
            else:
                self._free -= 1
        self._work.put(call)
        if is_short:
            threading.Thread(target=self._run, name="flyte-nb-local", daemon=True).start()

    def close(self) -> None:
        """End the threads that wait for a call. A call that hangs keeps its thread."""
        with self._lock:
            alive = self._alive
        for _ in range(alive):
            self._work.put(None)

    def _run(self) -> None:
        try:
            while (call := self._work.get()) is not None:
                call.run()
                with self._lock:
                    if call.interrupted:
                        return
                    self._free += 1
        except TaskInterrupted:
            # It came when the call had already returned.
            return
        finally:
            with self._lock:
                self._alive -= 1
