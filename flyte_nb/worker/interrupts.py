"""SIGTERM in a worker: the task's own code ends as by Ctrl-C, so that it can save what it has.

A signal in the middle of a message would leave half of it in the pipe. So a message is sent and
answered first, and only then the task is interrupted.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any


class TaskInterrupted(KeyboardInterrupt):
    """The platform ends the attempt; `finally` and `with` still have a moment."""


class Interrupts:
    """Turns the first SIGTERM into `TaskInterrupted`. Later ones do nothing: the task is ending.

    Used as a context, it keeps the interrupt back until the end of the block.
    """

    def __init__(self) -> None:
        self._held = 0
        self._waiting = False
        self._told = False
        self._process = os.getpid()

    def watch(self) -> None:
        """From now on; a handler of the user's own, set later, takes its place."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._meet)

    def stop(self) -> None:
        """The task has ended, and what is left to do is not interrupted."""
        self._told = True

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._held += 1

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._held -= 1
            if self._waiting and not self._held:
                self._tell()

    def _meet(self, number: int, frame: "FrameType | None") -> Any:
        if os.getpid() != self._process:  # a fork of the task's ends by it, as everywhere
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._held:
            self._waiting = True
        else:
            self._tell()

    def _tell(self) -> None:
        self._waiting = False
        if not self._told:
            self._told = True
            raise TaskInterrupted("the platform ends the attempt (SIGTERM)")
