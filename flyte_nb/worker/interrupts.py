"""SIGTERM in a worker: the task's own code ends as by Ctrl-C, so that it can save what it has.

A signal in the middle of a message would leave half of it in the pipe. So a message is sent and
answered first, and only then the task is interrupted.
"""

# Not signal, whose names cost every attempt something; nor threading, which every fork pays for.
import _signal  # type: ignore[import-not-found]
import _thread
import os
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
        self._thread = _thread.get_ident()
        self._masks: dict[int, set[int]] = {}  # by the thread that forks: what it had blocked

    def watch(self) -> None:
        """From now on; a handler of the user's own, set later, takes its place."""
        try:
            _signal.signal(_signal.SIGTERM, self._meet)
        except ValueError:  # not the main thread, which signals never meet
            return
        # Python forgets the signals that a fork has met before it runs Python code. So they wait.
        os.register_at_fork(
            before=self._hold_signals,
            after_in_parent=self._release_signals,
            after_in_child=self._leave_to_system,
        )

    def stop(self) -> None:
        """The task has ended, and what is left to do is not interrupted."""
        self._told = True

    def __enter__(self) -> None:
        if _thread.get_ident() == self._thread:
            self._held += 1

    def __exit__(self, *_: object) -> None:
        if _thread.get_ident() == self._thread:
            self._held -= 1
            if self._waiting and not self._held:
                self._tell()

    def _hold_signals(self) -> None:
        blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])
        self._masks[_thread.get_ident()] = blocked

    def _release_signals(self) -> None:
        blocked = self._masks.pop(_thread.get_ident())
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)

    def _leave_to_system(self) -> None:
        """In a fork of the task's, which ends by SIGTERM as everywhere."""
        if _signal.getsignal(_signal.SIGTERM) == self._meet:
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
        self._release_signals()

    def _meet(self, number: int, frame: "FrameType | None") -> Any:
        if os.getpid() != self._process:  # a fork that a library made
            _signal.signal(number, _signal.SIG_DFL)
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
