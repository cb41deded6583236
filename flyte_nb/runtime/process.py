"""The worker's process: started at once, heard through its pipe, and its end explained."""

import os
import select
from collections.abc import Callable, Mapping
from signal import SIGKILL, SIGTERM, Signals
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.pipe.pipe import LAST, Pipe, PipeClosed, PipeGarbage
from flyte_nb.runtime.child import Child
from flyte_nb.runtime.memory import MemoryWatch, killed

if TYPE_CHECKING:
    from threading import Timer

_POLL_MS = 200  # where the end of a process cannot be waited for together with its pipe
GRACE_VARIABLE = "FLYTE_NB_TERMINATION_GRACE_S"
_TERMINATION_S = 20.0
_GRACE_S = 10.0  # for exit handlers, after the answer came


Start = Callable[[str], tuple[Pipe, Child]]


class Worker:
    """A worker's process and the host's end of its pipe."""

    def __init__(
        self,
        pipe: Pipe,
        child: Child,
        start: "Start | None" = None,
        environ: "Mapping[str, str] | None" = None,
    ) -> None:
        """A running worker.

        Args:
            pipe: the host's end.
            child: its process.
            start: starts another child, with the given interpreter.
            environ: the attempt's variables; `None` means this process's own.
        """
        self.pipe = pipe
        self._start = start
        self._environ = os.environ if environ is None else environ
        self.interrupted = False
        """Whether SIGTERM was forwarded."""
        self.has_answered = False
        """Whether it gave its last message, and ends by itself."""
        self._child = child
        self._memory = MemoryWatch()
        self._grace: Timer | None = None

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
        end_fd = self._child.end_fd
        if end_fd is not None:
            poll.register(end_fd, select.POLLIN)
        while True:
            # A process that the task forked may hold the pipe open when the worker is long dead.
            ready = {fd for fd, _ in poll.poll(None if end_fd is not None else _POLL_MS)}
            if self.pipe.read_fd in ready:
                try:
                    message = self.pipe.receive()
                    self.has_answered = message["kind"] in LAST
                    return message
                except PipeClosed:
                    raise TaskFailed(self.wait()) from None
            if self._child.poll() is not None:
                raise TaskFailed(self.wait())

    def move(self, python: str) -> None:
        """Drop the process, and go on with one of another interpreter.

        Raises:
            TaskFailed: when it was interrupted meanwhile.
            OSError: when there is no such interpreter.
        """
        self.kill()
        if self.interrupted:
            raise TaskFailed(self._killed(SIGTERM))
        if self._start is None:
            raise ValueError("Nobody can start another process.")
        self.close()
        self.pipe, self._child = self._start(python)

    def forward_sigterm(self) -> None:
        """Pass SIGTERM on, so that the task can save its state; end it when that takes too long."""
        import threading  # which costs attempts that nobody interrupts nothing

        self._child.signal(SIGTERM)
        if not self.interrupted:
            self.interrupted = True
            self._grace = threading.Timer(grace_s(self._environ), self._child.signal, (SIGKILL,))
            self._grace.daemon = True
            self._grace.start()

    def finish(self) -> None:
        """Wait until the worker's exit handlers have run; end it when they take too long."""
        if self._child.poll() is None:
            waited = select.poll()
            # Without a descriptor of its end: the pipe hangs up when the worker is gone.
            end_fd = self._child.end_fd
            waited.register(self.pipe.read_fd if end_fd is None else end_fd)
            if not waited.poll(int(_GRACE_S * 1000)):
                self.kill()
        self._child.wait()

    def close(self) -> None:
        """Let go of the pipe, after the worker has ended."""
        if self._grace is not None:
            self._grace.cancel()
        self.pipe.close()
        self._child.close()

    def kill(self) -> None:
        """End the worker now."""
        self._child.signal(SIGKILL)
        self._child.wait()

    def wait(self) -> ErrorInfo:
        """Wait for the end of a worker that gave no answer, and explain it."""
        status = self._child.wait()
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
        if self.interrupted and number in (SIGTERM, SIGKILL):
            late = ", and killed before it had ended" if number == SIGKILL else ""
            message = f"The attempt was interrupted by SIGTERM{late}."
            return ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True)
        return killed("The task's process", number, name, self._memory)

    def _last_words(self) -> ErrorInfo:
        try:
            message = self.receive()
        except TaskFailed as failed:
            return failed.info
        if message["kind"] == "failed":
            return failure_in(message)
        return self.wait()


def grace_s(environ: "Mapping[str, str]") -> float:
    """Seconds between SIGTERM and the worker's end; Kubernetes kills the whole container after 30."""
    try:
        return float(environ.get(GRACE_VARIABLE) or _TERMINATION_S)
    except ValueError:
        return _TERMINATION_S


def failure_in(message: "dict[str, Any]") -> ErrorInfo:
    """The failure that a `failed` message carries.

    Raises:
        PipeGarbage: when it carries something else.
    """
    match message.get("error"):
        case [str(code), str(text), str(origin), bool(recoverable)]:
            return ErrorInfo(code, text, origin, recoverable)
    raise PipeGarbage("The worker's failure cannot be read.", code="SYSTEM:WorkerProtocol")
