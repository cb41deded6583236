"""The worker's process: started at once, heard through its pipe, and its end explained."""

import os
import select
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.runtime.spawn import Spawned
from flyte_nb.worker.pipe import Pipe, PipeClosed, PipeGarbage

_POLL_MS = 200  # where the end of a process cannot be waited for together with its pipe
_GRACE_S = 10.0  # for exit handlers, after the answer came


class Worker:
    """A worker's process and the host's end of its pipe."""

    def __init__(self, spawned: Spawned) -> None:
        self.pid = spawned.pid
        self.pipe = Pipe(spawned.read_fd, spawned.write_fd, spawned.folder)
        self.interrupted = False
        """Whether SIGTERM was forwarded."""
        self.has_answered = False
        """Whether it gave its last message, and ends by itself."""
        self._spawned = spawned
        self._status: int | None = None
        self._end_fd = _end_descriptor(spawned.pid)

    def send(self, message: "dict[str, Any]") -> None:
        """Send one message.

        Raises:
            TaskFailed: when the worker has ended; says how.
        """
        try:
            self.pipe.send(message)
        except PipeClosed:
            # What it said before it ended explains more than that it ended.
            raise TaskFailed(self._last_words()) from None

    def receive(self) -> "dict[str, Any]":
        """The worker's next message.

        Raises:
            TaskFailed: when it ended in place of sending one; says how.
        """
        poll = select.poll()
        poll.register(self.pipe.read_fd, select.POLLIN)
        if self._end_fd is not None:
            poll.register(self._end_fd, select.POLLIN)
        while True:
            # A process that the task forked may hold the pipe open when the worker is long dead.
            ready = {fd for fd, _ in poll.poll(None if self._end_fd is not None else _POLL_MS)}
            if self.pipe.read_fd in ready:
                try:
                    message = self.pipe.receive()
                    self.has_answered = message["kind"] in ("outputs", "failed")
                    return message
                except PipeClosed:
                    raise TaskFailed(self.wait()) from None
            if self._ended():
                raise TaskFailed(self.wait())

    def forward_sigterm(self) -> None:
        """Pass SIGTERM on, so that the task can save its state."""
        self.interrupted = True
        if self._status is None:
            try:
                os.kill(self.pid, SIGTERM)
            except ProcessLookupError:
                return

    def finish(self) -> None:
        """Wait until the worker's exit handlers have run; end it when they take too long."""
        if self._status is None:
            waited = select.poll()
            # Without a descriptor of its end: the pipe hangs up when the worker is gone.
            waited.register(self.pipe.read_fd if self._end_fd is None else self._end_fd)
            if not waited.poll(int(_GRACE_S * 1000)):
                self.kill()
        if self._status is None:
            self._reap()
        self._close()

    def kill(self) -> None:
        """End the worker now."""
        if self._status is None:
            try:
                os.kill(self.pid, SIGKILL)
            except ProcessLookupError:
                pass
            self._reap()

    def wait(self) -> ErrorInfo:
        """Wait for the end of a worker that gave no answer, and explain it."""
        self._reap()
        status = self._status or 0
        if os.WIFSIGNALED(status):
            return self._killed(os.WTERMSIG(status))
        code = os.waitstatus_to_exitcode(status)
        message = (
            f"The task's process ended with exit status {code} before the task had returned."
            " Did it call os._exit, or a library that does?"
        )
        return ErrorInfo("USER:WorkerExited", message, USER)

    def _killed(self, number: int) -> ErrorInfo:
        name = Signals(number).name if number in Signals._value2member_map_ else str(number)
        if self.interrupted and number == SIGTERM:
            message = f"The attempt was interrupted by {name}."
            return ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True)
        message = f"The task's process was killed by {name}."
        if number == SIGKILL:
            message += (
                " Most likely it needed more memory than it may have: raise the memory limit."
            )
        elif name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"):
            message += " A native library that it uses crashed."
        return ErrorInfo("SYSTEM:WorkerKilled", message, SYSTEM, recoverable=True)

    def _last_words(self) -> ErrorInfo:
        try:
            message = self.receive()
        except TaskFailed as failed:
            return failed.info
        if message["kind"] == "failed":
            return failure_in(message)
        return self.wait()

    def _ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended_with(status)
        return self._status is not None

    def _reap(self) -> None:
        if self._status is None:
            self._ended_with(os.waitpid(self.pid, 0)[1])

    def _ended_with(self, status: int) -> None:
        self._status = status
        self._spawned.pid = 0  # nothing is left to be ended

    def _close(self) -> None:
        self.pipe.close()
        if self._end_fd is not None:
            os.close(self._end_fd)
            self._end_fd = None


def failure_in(message: "dict[str, Any]") -> ErrorInfo:
    """The failure that a `failed` message carries.

    Raises:
        PipeGarbage: when it carries something else.
    """
    match message.get("error"):
        case [str(code), str(text), str(origin), bool(recoverable)]:
            return ErrorInfo(code, text, origin, recoverable)
    raise PipeGarbage("The worker's failure cannot be read.", code="SYSTEM:WorkerProtocol")


def _end_descriptor(pid: int) -> "int | None":
    """A descriptor that becomes readable when the process ends, where the system has such."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox
        return None
