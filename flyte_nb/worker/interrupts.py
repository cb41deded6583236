"""Turn SIGTERM in a worker into an exception in the task's own code, so that it can save what it has.

A signal in the middle of a message would leave half of the message in the pipe. So a message is sent and
answered first, and only then the task is interrupted.
"""

# `signal` builds enums when it is imported, which would delay every attempt. `threading` registers work
# for every fork.
import _signal  # type: ignore[import-not-found]
import _thread
import os
from types import FrameType


class TaskInterrupted(KeyboardInterrupt):
    """Raised in the task's code when the platform ends the attempt. `finally` and `with` blocks still run."""


class Interrupts:
    """Turns the first SIGTERM into `TaskInterrupted`. Later ones do nothing: the task is ending already.

    Used in a `with` statement, it delays the interrupt until the end of the block. Only the main thread can
    be interrupted, so the block has no effect in other threads.
    """

    def __init__(self) -> None:
        self._held = 0
        self._waiting = False
        self._raised = False
        self._process = os.getpid()
        self._thread = _thread.get_ident()
        self._masks: dict[int, set[int]] = {}
        """By thread that forks: the signals that it had blocked before."""

    def watch(self) -> None:
        """Install the handler. A handler that the user's code sets later replaces it."""
        try:
            _signal.signal(_signal.SIGTERM, self._handle)
        except ValueError:  # not the main thread: Python handles signals in the main thread only
            return
        # A new fork drops signals that arrive before it runs Python code. So they are blocked until then.
        os.register_at_fork(
            before=self._hold_signals,
            after_in_parent=self._release_signals,
            after_in_child=self._leave_to_system,
        )

    def stop(self) -> None:
        """Ignore SIGTERM from now on: the task has ended, and its answer must be sent."""
        self._raised = True

    def __enter__(self) -> None:
        if _thread.get_ident() == self._thread:
            self._held += 1

    def __exit__(self, *_: object) -> None:
        if _thread.get_ident() == self._thread:
            self._held -= 1
            if self._waiting and not self._held:
                self._raise()

    def _hold_signals(self) -> None:
        blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])
        self._masks[_thread.get_ident()] = blocked

    def _release_signals(self) -> None:
        blocked = self._masks.pop(_thread.get_ident())
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)

    def _leave_to_system(self) -> None:
        """Restore the default in a fork, which a SIGTERM ends as it ends any other process."""
        if _signal.getsignal(_signal.SIGTERM) == self._handle:
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
        self._release_signals()

    def _handle(self, number: int, frame: "FrameType | None") -> None:
        if (
            os.getpid() != self._process
        ):  # a fork by C code, which runs no `register_at_fork` functions
            _signal.signal(number, _signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._held:
            self._waiting = True
        else:
            self._raise()

    def _raise(self) -> None:
        self._waiting = False
        if not self._raised:
            self._raised = True
            raise TaskInterrupted("the platform ends the attempt (SIGTERM)")
