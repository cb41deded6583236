"""Run `echo` tasks without a process, beside an executor that runs all others.

An echo returns its input. As in propeller it has at most one, which becomes the one output, whatever that is
called; an echo without an input has no outputs.

Source: flyteplugins/go/tasks/plugins/testing/echo.go at v1.16.8.
"""

from collections.abc import Callable

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import OUTPUTS
from flyte_nb.propeller.foreign.runnable import ECHO
from flyte_nb.propeller.ports import Attempt, AttemptKey, AttemptReport, Executor, Started


class WithEchoes:
    """An executor that hands all tasks but echoes to another one."""

    def __init__(self, executor: Executor, store: BlobStore) -> None:
        """Make the executor.

        Args:
            executor: Runs all other tasks.
            store: Where inputs are read and outputs are written.
        """
        self._executor = executor
        self._store = store
        self._reports: list[AttemptReport] = []
        self._wake: Callable[[], None] = lambda: None

    @property
    def slots(self) -> int:
        """Return how many attempts may run at a time, over all executions."""
        return self._executor.slots

    @property
    def in_memory(self) -> bool:
        """Return whether values stay in this process."""
        return self._executor.in_memory

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on, from any thread, when `poll` has something to return."""
        self._wake = wake
        self._executor.listen(wake)

    def start(self, attempt: Attempt) -> Started:
        """Start the attempt; an echo has ended when this returns, and its report follows.

        Raises:
            TaskFailed: when it cannot be started.
        """
        if attempt.task.type != ECHO:
            return self._executor.start(attempt)
        try:
            self._echo(attempt)
        except (StorageError, OSError, DecodeError) as error:
            text = f"The echo of {attempt.input_uri} cannot be written: {error}"
            raise TaskFailed(ErrorInfo("SYSTEM:StorageError", text, SYSTEM, True)) from error
        return Started()

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Take over an attempt that was recorded before a restart. An echo is made again.

        Raises:
            OSError: when this cannot be found out now.
        """
        if attempt.task.type != ECHO:
            return self._executor.adopt(attempt)
        try:
            return self.start(attempt)
        except TaskFailed as error:
            self._report(AttemptReport(attempt.key, error=error.info))
            return Started()

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call, without waiting."""
        reports, self._reports = self._reports, []
        return [*reports, *self._executor.poll()]

    def kill(self, key: AttemptKey) -> None:
        """End the attempt. An echo has ended already."""
        self._executor.kill(key)

    def close(self) -> None:
        """Stop watching. May be called twice."""
        self._executor.close()

    def _echo(self, attempt: Attempt) -> None:
        names = _names(attempt.task)
        outputs = LiteralMap()
        if names is not None:
            # Read, not taken from the attempt: one that is adopted has no inputs.
            inputs = LiteralMap.FromString(self._store.read(attempt.input_uri))
            outputs.literals[names[1]].CopyFrom(inputs.literals[names[0]])
            uri = f"{attempt.output_prefix}/{OUTPUTS}"
            self._store.write(uri, outputs.SerializeToString(deterministic=True))
        self._report(AttemptReport(attempt.key, outputs=outputs))

    def _report(self, report: AttemptReport) -> None:
        self._reports.append(report)
        self._wake()


def _names(task: TaskTemplate) -> "tuple[str, str] | None":
    """Return the names of the input and of the output; `None` when there is neither.

    Raises:
        TaskFailed: when there are more, or not as many of both.
    """
    inputs, outputs = task.interface.inputs.variables, task.interface.outputs.variables
    why = ""
    if len(inputs) != len(outputs):
        why = f"the number of input [{len(inputs)}] and output [{len(outputs)}] variables does not match"
    elif len(inputs) > 1:
        why = "this plugin does not currently support more than one input variable"
    if why:
        text = f"failed during plugin execution, caused by: {why}"
        raise TaskFailed(ErrorInfo("RuntimeExecutionError", text, SYSTEM))
    return (next(iter(inputs)), next(iter(outputs))) if inputs else None
