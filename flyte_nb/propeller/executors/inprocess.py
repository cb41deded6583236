"""Run tasks by calling them in this process.

An attempt that is the only one runs in the caller's thread, as code in a cell does: signals, debuggers
and figures work there, and a chain of tasks switches no threads. Several attempts run side by side, each
in a thread. With `slots=1` they run in the caller's thread, one after the other. Only an attempt with a
timeout gets a thread then, because nobody could end it in the caller's.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from flyte_nb.api.errors import SYSTEM, CodecError, CompileFailed, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.executors.batches import Durations, Lists, carry_out
from flyte_nb.propeller.executors.container_here import run_here
from flyte_nb.propeller.executors.expanding import expand_here
from flyte_nb.propeller.executors.threads import ThreadCall, Threads
from flyte_nb.propeller.local_entities import LocalEntities
from flyte_nb.propeller.plain_values import from_idl, to_idl
from flyte_nb.propeller.ports import (
    Attempt,
    AttemptKey,
    AttemptReport,
    BatchEnd,
    ElementBatch,
    Started,
)
from flyte_nb.sdk.execution_context import ExecutionContext, context_from
from flyte_nb.sdk.kinds.container import ContainerTask
from flyte_nb.sdk.task import AnyTask, Task
from flyte_nb.worker.call import call
from flyte_nb.worker.inner import InnerRunner
from flyte_nb.worker.interrupts import TaskInterrupted
from flyte_nb.worker.kept_files import KeptFiles
from flyte_nb.worker.steps import FunctionFailed

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry

__all__ = ["InProcess", "usual_slots"]

_log = logging.getLogger(__name__)

_GRACE_S = 1.0
"""How long a thread may go on after it was interrupted. Then its attempt counts as ended."""


def usual_slots() -> int:
    """Return how many attempts run side by side unless a person sets it: as many as `ThreadPoolExecutor` has.

    Tasks in threads mostly wait or are in native code, so there may be more of them than processors.
    """
    return min(32, (os.cpu_count() or 1) + 4)


class _Running:
    """One attempt that was started and has not been reported."""

    __slots__ = ("attempt", "call", "give_up_at", "task")

    def __init__(self, attempt: Attempt, task: AnyTask) -> None:
        self.attempt = attempt
        self.task = task
        self.call: ThreadCall | None = None
        self.give_up_at: float | None = None
        """The `time.monotonic()` at which its thread is no longer waited for; `None` before an interrupt."""


class InProcess:
    """The executor of `wf(n=3)` in a notebook, for the executions of one `run_local`.

    `start` only takes the attempt. `poll` calls the task if the attempt is the only one, and returns when
    it has ended; otherwise it hands the attempts to threads. A `KeyboardInterrupt` in a task leaves `poll`
    or `wait`, and no report follows.

    `kill` interrupts the Python code of a thread. It cannot end an attempt in the caller's thread.
    """

    in_memory = True

    def __init__(
        self,
        tasks: "LocalEntities | Mapping[Identifier, AnyTask]",
        registry: "Registry",
        data: "DataAccess | None" = None,
        *,
        slots: int = 1,
        workflow_id: "Identifier | None" = None,
        grace_s: float = _GRACE_S,
        former: "Mapping[tuple[ExecutionId, str], KeptFiles] | None" = None,
    ) -> None:
        """Make an executor.

        Args:
            tasks: The SDK's tasks by the identifiers of their templates. Bodies of dynamic tasks add to them.
            registry: Encodes and decodes their values.
            data: Moves values that are files; `None` when there are none.
            slots: How many attempts may run at a time.
            workflow_id: The workflow that is executed, for `current_context()`.
            grace_s: Seconds that an interrupted thread is waited for.
            former: The checkpoints of a run that is recovered, by run and node.
        """
        self.slots = slots
        self.may_not_block = False
        """Whether a gate waits for its time or for a person, so that even a lone attempt gets a thread."""
        self._entities = tasks if isinstance(tasks, LocalEntities) else LocalEntities(tasks)
        self._registry = registry
        self._data = data
        self._workflow_id = workflow_id
        self._grace_s = grace_s
        self._queued: list[_Running] = []
        self._running: dict[AttemptKey, _Running] = {}
        """Those in threads."""
        self._done: SimpleQueue[tuple[AttemptKey, AttemptReport | KeyboardInterrupt]] = (
            SimpleQueue()
        )
        """How attempts in threads ended: by a report, or by an interrupt that their code raised."""
        self._reports: list[AttemptReport] = []
        self._threads: Threads | None = None
        self._files: dict[tuple[ExecutionId, str], KeptFiles] = {}  # by execution and node
        self._durations = Durations()
        self._lists = Lists()
        self._former = former or {}
        self._wake: Callable[[], None] = _nobody

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on when a thread has ended its attempt."""
        self._wake = wake

    def start(self, attempt: Attempt) -> Started:
        """Take the attempt; the next `poll` begins it.

        Raises:
            TaskFailed: when this process does not have the task.
        """
        task = self._entities.task(attempt.task_id)
        if task is None:
            text = f"The task {attempt.task_id.name} is not defined here. Run the cell that defines it."
            raise TaskFailed(ErrorInfo("SYSTEM:TaskNotDefined", text, SYSTEM))
        self._queued.append(_Running(attempt, task))
        return _STARTED

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Return `None`: nothing outlives this process, so nothing can be taken over."""
        return None

    def poll(self) -> list[AttemptReport]:
        """Begin what was started, and return the reports since the last call."""
        queued = self._queued
        if queued:
            self._queued = []
            is_alone = len(queued) == 1 and not self._running and not self.may_not_block
            if is_alone and not queued[0].attempt.timeout_us:
                return [self._carried_out(queued[0])]
            for one in queued:
                self._in_thread(one)
        if self._running:
            self._take(0)
        reports, self._reports = self._reports, []
        return reports

    @property
    def is_busy(self) -> bool:
        """Return whether a thread has an attempt."""
        return bool(self._running)

    def wait(self, timeout_s: "float | None" = None) -> None:
        """Wait until a thread has ended its attempt, at most `timeout_s`. Return at once if none runs.

        Raises:
            KeyboardInterrupt: when the person interrupted, or the code of a task raised it.
        """
        if self._running and not self._reports:
            self._take(timeout_s)

    def kill(self, key: AttemptKey) -> None:
        """Interrupt the attempt's Python code. If it does not end within the grace, it is reported anyway."""
        for one in self._queued:
            if one.attempt.key == key:
                self._queued.remove(one)
                self._reports.append(_interrupted(key))
                return
        running = self._running.get(key)
        if running is not None and running.call is not None and running.give_up_at is None:
            running.give_up_at = time.monotonic() + self._grace_s
            running.call.interrupt()

    def interrupt(self) -> list[str]:
        """Interrupt everything, wait for the grace, and return the names of the tasks that still run."""
        for key in list(self._running):
            self.kill(key)
        end = time.monotonic() + self._grace_s
        while self._running and time.monotonic() < end:
            try:
                key, _ = self._done.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
            self._running.pop(key, None)
        return sorted(one.task.short_name for one in self._running.values())

    def release_files(self) -> "dict[tuple[ExecutionId, str], KeptFiles]":
        """Return what attempts saved for later ones. `close` does not remove it then."""
        files, self._files = self._files, {}
        return files

    def close(self) -> None:
        """Remove the checkpoints that attempts saved for later ones, and let the threads end."""
        if self._threads is not None:
            self._threads.close()
        for files in self._files.values():
            files.close()
        self._files.clear()

    def _in_thread(self, one: _Running) -> None:
        if self._threads is None:
            self._threads = Threads()
        self._running[one.attempt.key] = one
        one.call = ThreadCall(lambda: self._run(one))
        self._threads.start(one.call)

    def _run(self, one: _Running) -> None:
        """Carry out an attempt in a thread, and say how it ended."""
        end: AttemptReport | KeyboardInterrupt
        try:
            end = self._carried_out(one)
        except TaskInterrupted:
            end = _interrupted(one.attempt.key)
        except KeyboardInterrupt as error:
            end = error
        self._done.put((one.attempt.key, end))
        self._wake()

    def _take(self, timeout_s: "float | None") -> None:
        """Take what threads have reported, waiting for the first; give up on those that do not end."""
        limits = [one.give_up_at for one in self._running.values() if one.give_up_at is not None]
        if limits:
            left = max(0.0, min(limits) - time.monotonic())
            timeout_s = left if timeout_s is None else min(timeout_s, left)
        try:
            key, end = (
                self._done.get(timeout=timeout_s) if timeout_s != 0 else self._done.get_nowait()
            )
            while True:
                was_running = self._running.pop(key, None) is not None
                if isinstance(end, KeyboardInterrupt):
                    raise end
                if was_running:  # else it was given up, and reported then
                    self._reports.append(end)
                key, end = self._done.get_nowait()
        except Empty:
            pass
        now = time.monotonic()
        for key, one in list(self._running.items()):
            if one.give_up_at is not None and now >= one.give_up_at:
                del self._running[key]
                self._reports.append(_interrupted(key))
                _log.warning(
                    "%s (%s) was interrupted and does not react: its thread goes on until what it"
                    " waits for returns. Its result is not used.",
                    one.task.short_name,
                    key.node_id,
                )

    def _carried_out(self, one: _Running) -> AttemptReport:
        attempt = one.attempt
        began = time.perf_counter()
        try:
            if isinstance(one.task, ContainerTask):
                return run_here(one.task, attempt, self._data)
            inputs = from_idl(attempt.inputs)
            # A map comes here element by element, as calls of the task that it maps.
            task = one.task.original if attempt.element >= 0 else one.task
            if isinstance(task, Task) and task.is_dynamic:
                return self._expanded(task, attempt, inputs)
            end = self.call(attempt.key, task, attempt.task_id, inputs)
            if isinstance(end, AttemptReport):
                return end
            outputs = to_idl(end)
        except TaskFailed as failure:
            return AttemptReport(attempt.key, error=failure.info, cause=_authors_own(failure))
        except CodecError as error:
            info = ErrorInfo("SYSTEM:LiteralNotReadable", str(error), SYSTEM)
            return AttemptReport(attempt.key, error=info)
        if attempt.element >= 0:
            self._durations.note(attempt.task_id, time.perf_counter() - began)
        return AttemptReport(attempt.key, outputs)

    def call(
        self, key: AttemptKey, task: AnyTask, task_id: Identifier, inputs: dict[str, Literal]
    ) -> "dict[str, Literal] | AttemptReport":
        """Call a task in this thread; return its outputs, or the report of an attempt that failed."""
        runner = InnerRunner(self._registry, self._data, lambda: self._context(key, task_id))
        try:
            return call(task, inputs, self._registry, self._data, runner=runner)
        except TaskFailed as failure:
            return AttemptReport(key, error=failure.info, cause=_authors_own(failure))

    def task_of(self, id: "Identifier | None") -> "AnyTask | None":
        """Return the task of that identifier, if this process has it."""
        return self._entities.task(id) if id is not None else None

    def _expanded(self, task: Task, attempt: Attempt, inputs: dict[str, Literal]) -> AttemptReport:
        """Run the body of a dynamic task; its calls become nodes of the same run."""
        id = attempt.task_id
        runner = InnerRunner(self._registry, self._data, lambda: self._context(attempt.key, id))
        made = expand_here(task, id, inputs, self._registry, self._data, runner, self._entities)
        if isinstance(made, dict):
            return AttemptReport(attempt.key, to_idl(made))
        return AttemptReport(attempt.key, job=made)

    def prefers_batches(self, task_id: Identifier) -> bool:
        """Return whether elements that run this task are known to be small."""
        return self._durations.are_small(task_id)

    def run_batch(self, batch: ElementBatch) -> "BatchEnd | None":
        """Run small elements of a map in the caller's thread, until one fails or some time has passed.

        Returns:
            How it ended; `None` when something else runs, or elements of the task are not known to be small.
        """
        task = self._entities.task(batch.task_id)
        if task is None or self._running or self._queued:
            return None
        if not self.prefers_batches(batch.task_id):
            return None

        def runner_of(element: int) -> InnerRunner:
            return InnerRunner(
                self._registry,
                self._data,
                lambda: self._context(batch.key_of(element), batch.task_id),
            )

        try:
            lists = self._lists.of(batch.inputs)
            carried = carry_out(batch, task.original, lists, runner_of)
            outputs = carried.as_lists()
        except CodecError:
            return None  # the attempt at the element says what is wrong
        done = len(carried.outputs)
        if carried.failure is None:
            self._durations.note(batch.task_id, carried.last_s)
            return BatchEnd(outputs, done)
        failure = carried.failure
        key = batch.key_of(batch.elements[done])
        report = AttemptReport(key, error=failure.info, cause=_authors_own(failure))
        return BatchEnd(outputs, done, report)

    def _kept_files(self, place: "tuple[ExecutionId, str]") -> KeptFiles:
        files = self._files.get(place)
        if files is None:
            files = self._files[place] = KeptFiles(self._former.get(place))
        return files

    def _context(self, key: AttemptKey, task_id: Identifier) -> ExecutionContext:
        """Return what `current_context()` gives in an attempt. It is made only for tasks that ask for it."""
        files = self._kept_files((key.execution, key.node_id))
        folder = self._data.scratch() if self._data is not None else ""
        found = context_from(os.environ, working_directory=folder)
        return files.begin(
            key.attempt,
            found._replace(
                execution_id=key.execution,
                task_id=task_id,
                workflow_id=self._workflow_id,
            ),
        )


def _nobody() -> None:
    """Do nothing: the `wake` before `listen` was called."""


def _authors_own(failure: TaskFailed) -> "BaseException | None":
    """Return the exception that the author knows better than ours; `None` when ours says more."""
    known = isinstance(failure, FunctionFailed)
    cause = failure.__cause__
    if isinstance(cause, TaskFailed) and isinstance(cause.__cause__, CompileFailed):
        cause = cause.__cause__  # what a dynamic task's body puts together does not compile
    return cause if known or isinstance(cause, CompileFailed) else None


def _interrupted(key: AttemptKey) -> AttemptReport:
    return AttemptReport(
        key, error=ErrorInfo("SYSTEM:Interrupted", "The attempt was ended.", SYSTEM, True)
    )


_STARTED = Started()
