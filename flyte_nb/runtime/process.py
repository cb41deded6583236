"""The worker's process from the host's side: messages over its pipe, signals, and the reason of its end."""

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

_POLL_MS = 200
"""How often to ask for the end of the process, where the system has no descriptor for it."""
GRACE_VARIABLE = "FLYTE_NB_TERMINATION_GRACE_S"
"""Seconds between SIGTERM and SIGKILL."""
_TERMINATION_S = 20.0
_GRACE_S = 10.0
"""Seconds for exit handlers after the worker has answered."""


Start = Callable[[str], tuple[Pipe, Child]]
"""Starts a worker with the interpreter at a path."""


class Worker:
    """A worker's process and the host's end of its pipe."""

    def __init__(
        self,
        pipe: Pipe,
        child: Child,
        start: "Start | None" = None,
        environ: "Mapping[str, str] | None" = None,
    ) -> None:
        """Take a running worker.

        Args:
            pipe: The host's end of its pipe.
            child: Its process.
            start: Starts another worker, for `move`; `None` when that cannot be done.
            environ: The attempt's variables; `None` means `os.environ`.
        """
        self.pipe = pipe
        self._start = start
        self._environ = os.environ if environ is None else environ
        self.interrupted = False
        """Whether SIGTERM was forwarded."""
        self.has_answered = False
        """Whether the worker has sent its last message, and ends by itself."""
        self._child = child
        self._memory = MemoryWatch()
        self._grace: Timer | None = None

    def send(self, message: "dict[str, Any]") -> None:
        """Send one message to the worker.

        Raises:
            TaskFailed: when the worker has ended; it says how.
            OSError: when a large message cannot be written to its file.
        """
        try:
            self.pipe.send(message)
        except PipeClosed:
            # A failure that it sent before it ended explains more than the end itself.
            raise TaskFailed(self._last_words()) from None

    def receive(self) -> "dict[str, Any]":
        """Wait for the worker's next message and return it.

        Raises:
            TaskFailed: when the worker ended instead; it says how.
            PipeGarbage: when something else wrote to the pipe.
        """
        poll = select.poll()
        poll.register(self.pipe.read_fd, select.POLLIN)
        end_fd = self._child.end_fd
        if end_fd is not None:
            poll.register(end_fd, select.POLLIN)
        while True:
            # The end of the pipe alone would not do: a process that the task forked may hold the pipe
            # open long after the worker is dead.
            ready = {fd for fd, _ in poll.poll(None if end_fd is not None else _POLL_MS)}
            if self.pipe.read_fd in ready:
                try:
                    message = self.pipe.receive()
                    self.has_answered = message["kind"] in LAST
                    return message
                except PipeClosed:
                    raise TaskFailed(self.wait()) from None
            # Asked only when the pipe had nothing to read, so that a message from before the end is not lost.
            if self._child.poll() is not None:
                raise TaskFailed(self.wait())

    def move(self, python: str) -> None:
        """End the process, and go on with a new one that the interpreter at `python` runs.

        Raises:
            TaskFailed: when SIGTERM came meanwhile.
            OSError: when there is no such interpreter.
            ValueError: when this worker was made without `start`.
        """
        self.kill()
        # The signal went to the old process. A new one would not know that it should end.
        if self.interrupted:
            raise TaskFailed(self._killed(SIGTERM))
        if self._start is None:
            raise ValueError("This worker cannot be replaced: it was made without `start`.")
        self.close()
        self.pipe, self._child = self._start(python)

    def forward_sigterm(self) -> None:
        """Pass SIGTERM on, so that the task can save its state; kill the worker after the grace."""
        # Start-up: only an interrupted attempt needs it.
        import threading

        self._child.signal(SIGTERM)
        if not self.interrupted:
            self.interrupted = True
            self._grace = threading.Timer(grace_s(self._environ), self._child.signal, (SIGKILL,))
            # Python waits for other threads at its exit, and this one may sleep for the whole grace.
            self._grace.daemon = True
            self._grace.start()

    def finish(self) -> None:
        """Wait until the worker's exit handlers have run; kill it when they take more than 10 seconds."""
        if self._child.poll() is None:
            waited = select.poll()
            # Where the system has no descriptor for the end, the pipe hangs up when the worker is gone.
            end_fd = self._child.end_fd
            waited.register(self.pipe.read_fd if end_fd is None else end_fd)
            if not waited.poll(int(_GRACE_S * 1000)):
                self.kill()
        self._child.wait()

    def close(self) -> None:
        """Close the pipe, after the worker has ended."""
        # Without this the timer's thread would live until its time is over.
        if self._grace is not None:
            self._grace.cancel()
        self.pipe.close()
        self._child.close()

    def kill(self) -> None:
        """Kill the worker, and wait for its end."""
        self._child.signal(SIGKILL)
        self._child.wait()

    def wait(self) -> ErrorInfo:
        """Wait for the end of a worker that gave no answer; return the reason as a failure."""
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
            late = ", and killed because it did not end in time" if number == SIGKILL else ""
            message = f"The attempt was interrupted by SIGTERM{late}."
            return ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True)
        # Nobody here asked for this end. The kernel kills by SIGKILL when memory runs out.
        return killed("The task's process", number, name, self._memory)

    def _last_words(self) -> ErrorInfo:
        """Return the failure that an ended worker had sent, or else the reason of its end."""
        try:
            message = self.receive()
        except TaskFailed as failed:
            return failed.info
        if message["kind"] == "failed":
            return failure_in(message)
        return self.wait()


def grace_s(environ: "Mapping[str, str]") -> float:
    """Return the seconds between SIGTERM and SIGKILL: 20 if the variable is not set.

    Kubernetes kills the whole container after 30 seconds. Until then the host must have written `error.pb`.
    """
    try:
        return float(environ.get(GRACE_VARIABLE) or _TERMINATION_S)
    except ValueError:
        return _TERMINATION_S


def failure_in(message: "dict[str, Any]") -> ErrorInfo:
    """Return the failure in a `failed` message.

    Raises:
        PipeGarbage: when the message does not have a failure.
    """
    # User code can write frames too, so no field is trusted to have its type.
    match message.get("error"):
        case [str(code), str(text), str(origin), bool(recoverable)]:
            return ErrorInfo(code, text, origin, recoverable)
    raise PipeGarbage("The worker's failure cannot be read.", code="SYSTEM:WorkerProtocol")
