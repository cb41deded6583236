"""The suites for recorders, catalogs and executors. Derive a class in a test file, and write the makers.

class TestMyExecutor(ExecutorConformance):
def make(self): return MyExecutor(...)
def attempt(self, behaviour, number=0): ...
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from flyteidl.core.tasks_pb2 import Resources, TaskTemplate

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.propeller import records as r
from flyte_nb.propeller.ports import (
    Attempt,
    AttemptKey,
    AttemptReport,
    Catalog,
    Executor,
    NoRoom,
    Recorder,
)
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, Record, WorkflowRecord
from flyte_nb.testing.closures import integer
from flyte_nb.testing.waiting import PATIENCE_S, wait_until

OK = "ok"  # ends with the outputs {o0: 42}
ERROR = "error"  # ends with an error of code "USER:ValueError"
HANG = "hang"  # runs until it is ended
HUNGRY = "hungry"  # takes more memory than `HUNGRY_LIMIT`, and then runs until it is ended

HUNGRY_LIMIT = "200Mi"
GPUS = ("gpu-0", "gpu-1")
"""What the GPUs of an executor in the suite are called, where it has any."""


class RecorderConformance:
    """A recorder keeps records in order, also beyond its own end."""

    def make(self) -> Recorder:
        """Return a recorder. In one test, every call returns one on the same storage."""
        raise NotImplementedError

    def test_records_come_back_equal_and_in_order(self) -> None:
        """All kinds, all fields."""
        recorder = self.make()
        first, second = some_records()[:3], some_records()[3:]
        recorder.record(_ONE, first)
        recorder.record(_ONE, second)
        assert list(recorder.history(_ONE)) == some_records()

    def test_another_recorder_on_the_same_storage_has_them_too(self) -> None:
        """What was recorded is durable."""
        self.make().record(_ONE, some_records())
        assert list(self.make().history(_ONE)) == some_records()

    def test_executions_do_not_mix(self) -> None:
        """Each has a history of its own."""
        recorder = self.make()
        recorder.record(_ONE, some_records())
        recorder.record(_TWO, some_records()[:1])
        assert list(recorder.history(_TWO)) == some_records()[:1]
        assert list(recorder.history(ExecutionId("p", "d", "nobody"))) == []


class CatalogConformance:
    """A catalog returns what was put under a key last."""

    def make(self) -> Catalog:
        """Return an empty catalog."""
        raise NotImplementedError

    def test_what_was_put_comes_back(self) -> None:
        """And only under its own key."""
        catalog = self.make()
        assert catalog.get("a/b") is None
        catalog.put("a/b", b"1")
        catalog.put("a/c", b"")
        catalog.put("a/b", b"2")
        assert (catalog.get("a/b"), catalog.get("a/c"), catalog.get("a")) == (b"2", b"", None)


class ExecutorConformance:
    """An executor returns exactly one report for each attempt that it started or adopted."""

    can_hang = True
    """Whether its attempts can be ended from outside."""
    survives = True
    """Whether its attempts go on when it is closed, and can be adopted by the next one."""
    measures = True
    """Whether its reports have the CPU seconds and the memory that attempts used."""
    keeps_limits = True
    """Whether it ends attempts that use more memory than they may. Its attempts have `HUNGRY` then."""
    has_gpus = True
    """Whether it assigns GPUs. `make` gives it `GPUS` then."""

    def make(self) -> Executor:
        """Return an executor. In one test, every call returns one on the same state."""
        raise NotImplementedError

    def attempt(self, behaviour: str, number: int = 0) -> Attempt:
        """Return an attempt that behaves as `OK`, `ERROR` or `HANG` say; equal for equal arguments."""
        raise NotImplementedError

    @pytest.fixture
    def stack(self) -> Iterator[ExitStack]:
        """Close the executors of a test at its end."""
        with ExitStack() as stack:
            yield stack

    def test_a_success_is_reported_once_with_its_outputs(self, stack: ExitStack) -> None:
        """And nothing more."""
        executor = self.opened(stack)
        attempt = self.attempt(OK)
        executor.start(attempt)
        report = self.report_of(executor, attempt)
        assert report.error is None
        assert report.outputs is not None
        assert integer(report.outputs) == 42
        assert executor.poll() == []

    def test_a_failure_is_reported_with_its_error(self, stack: ExitStack) -> None:
        """With the code that the task's error has."""
        executor = self.opened(stack)
        attempt = self.attempt(ERROR)
        executor.start(attempt)
        report = self.report_of(executor, attempt)
        assert report.outputs is None
        assert report.error is not None
        assert report.error.code == "USER:ValueError"
        assert report.error.origin == USER

    def test_a_listener_is_woken_for_a_report(self, stack: ExitStack) -> None:
        """Unless the report is there when `start` returns."""
        woken = threading.Event()
        executor = self.opened(stack)
        executor.listen(woken.set)
        executor.start(self.attempt(OK))
        if not executor.in_memory:
            assert woken.wait(PATIENCE_S)
        assert len(executor.poll()) == 1

    def test_ending_what_is_not_there_does_nothing(self, stack: ExitStack) -> None:
        """Also after the report."""
        executor = self.opened(stack)
        attempt = self.attempt(OK)
        executor.kill(attempt.key)
        executor.start(attempt)
        self.report_of(executor, attempt)
        executor.kill(attempt.key)
        assert executor.poll() == []

    def test_what_was_never_started_cannot_be_adopted(self, stack: ExitStack) -> None:
        """It can be started then."""
        executor = self.opened(stack)
        attempt = self.attempt(OK)
        assert executor.adopt(attempt) is None
        assert executor.poll() == []
        executor.start(attempt)
        self.report_of(executor, attempt)

    def test_an_attempt_can_be_ended(self, stack: ExitStack) -> None:
        """Its report follows, with an error."""
        if not self.can_hang:
            pytest.skip("attempts of this executor cannot be ended")
        executor = self.opened(stack)
        attempt = self.attempt(HANG)
        executor.start(attempt)
        executor.kill(attempt.key)
        report = self.report_of(executor, attempt)
        assert report.outputs is None
        assert report.error is not None

    def test_a_running_attempt_is_adopted_by_the_next_executor(self, stack: ExitStack) -> None:
        """And can be ended by it."""
        if not self.survives:
            pytest.skip("attempts of this executor end with it")
        attempt = self.attempt(HANG)
        first = self.make()
        first.start(attempt)
        first.close()
        second = self.opened(stack)
        assert second.adopt(attempt) is not None
        assert second.poll() == []
        second.kill(attempt.key)
        assert self.report_of(second, attempt).error is not None

    def test_an_attempt_that_ended_unwatched_is_reported_when_adopted(
        self, stack: ExitStack
    ) -> None:
        """With what it left."""
        if not self.survives:
            pytest.skip("attempts of this executor end with it")
        attempt = self.attempt(OK)
        first = self.make()
        first.start(attempt)
        self.report_of(first, attempt)
        first.close()
        second = self.opened(stack)
        assert second.adopt(attempt) is not None
        report = self.report_of(second, attempt)
        assert report.outputs is not None
        assert integer(report.outputs) == 42

    def test_attempts_run_side_by_side(self, stack: ExitStack) -> None:
        """Each can be ended while the other goes on."""
        if not self.can_hang:
            pytest.skip("attempts of this executor cannot be ended")
        executor = self.opened(stack)
        first, second = self.attempt(HANG, 0), self.attempt(HANG, 1)
        executor.start(first)
        executor.start(second)
        executor.kill(second.key)
        assert self.report_of(executor, second).error is not None
        executor.kill(first.key)
        assert self.report_of(executor, first).error is not None

    def test_what_an_attempt_used_is_measured(self, stack: ExitStack) -> None:
        """CPU seconds, and the most memory."""
        if not self.measures:
            pytest.skip("this executor does not measure")
        executor = self.opened(stack)
        attempt = self.attempt(OK)
        executor.start(attempt)
        report = self.report_of(executor, attempt)
        assert report.cpu_s is not None
        assert report.cpu_s > 0
        assert report.max_rss_bytes is not None
        assert report.max_rss_bytes > 1 << 20

    def test_an_attempt_over_its_memory_limit_is_killed_as_a_pod_is(self, stack: ExitStack) -> None:
        """With Kubernetes' code, on the user's budget; another attempt may help."""
        if not self.keeps_limits:
            pytest.skip("this executor keeps no limits")
        executor = self.opened(stack)
        attempt = asking(self.attempt(HUNGRY), {Resources.MEMORY: HUNGRY_LIMIT})
        executor.start(attempt)
        error = self.report_of(executor, attempt).error
        assert error is not None
        assert (error.code, error.origin, error.recoverable) == ("OOMKilled", USER, True)
        assert "its limit is 200Mi" in error.message

    def test_a_gpu_belongs_to_one_attempt_at_a_time(self, stack: ExitStack) -> None:
        """The next one gets it when that one has ended."""
        if not self.has_gpus:
            pytest.skip("this executor assigns no GPUs")
        executor = self.opened(stack)
        first, *others = (asking(self.attempt(HANG, n), {Resources.GPU: "1"}) for n in range(3))
        executor.start(first)
        executor.start(others[0])
        with pytest.raises(NoRoom, match="0 of 2 are free"):
            executor.start(others[1])
        executor.kill(first.key)
        self.report_of(executor, first)
        executor.start(others[1])
        for one in others:
            executor.kill(one.key)
            self.report_of(executor, one)

    def test_gpus_of_adopted_attempts_stay_with_them(self, stack: ExitStack) -> None:
        """Over a restart."""
        if not self.has_gpus or not self.survives:
            pytest.skip("this executor assigns no GPUs, or its attempts end with it")
        running = asking(self.attempt(HANG), {Resources.GPU: "2"})
        first = self.make()
        first.start(running)
        first.close()
        second = self.opened(stack)
        assert second.adopt(running) is not None
        with pytest.raises(NoRoom):
            second.start(asking(self.attempt(HANG, 1), {Resources.GPU: "1"}))
        second.kill(running.key)
        self.report_of(second, running)

    def test_more_gpus_than_there_are_fail_at_once(self, stack: ExitStack) -> None:
        """No wait would help."""
        if not self.has_gpus:
            pytest.skip("this executor assigns no GPUs")
        executor = self.opened(stack)
        with pytest.raises(TaskFailed) as caught:
            executor.start(asking(self.attempt(HANG), {Resources.GPU: "3"}))
        assert caught.value.info.code == "ResourcesUnavailable"
        assert executor.poll() == []

    def test_it_can_be_closed_twice(self) -> None:
        """The second time nothing happens."""
        executor = self.make()
        executor.close()
        executor.close()

    def opened(self, stack: ExitStack) -> Executor:
        """Return an executor that is closed at the end of the test."""
        executor = self.make()
        stack.callback(executor.close)
        return executor

    def report_of(self, executor: Executor, attempt: Attempt) -> AttemptReport:
        """Wait for the attempt's report and return it; fail when there is another one."""
        found: list[AttemptReport] = []

        def came() -> bool:
            found.extend(executor.poll())
            return bool(found)

        wait_until(came, f"the report of {attempt.key}")
        assert [report.key for report in found] == [attempt.key]
        return found[0]


def asking(attempt: Attempt, requests: "Mapping[Resources.ResourceName, str]") -> Attempt:
    """Return the attempt with these requests of its task."""
    task = TaskTemplate()
    task.CopyFrom(attempt.task)
    for name, value in requests.items():
        task.container.resources.requests.add(name=name, value=value)
    return attempt._replace(task=task)


_ONE = ExecutionId("flytesnacks", "development", "one")
_TWO = ExecutionId("flytesnacks", "development", "two")


def key(name: str, number: int = 0) -> AttemptKey:
    """Return the key of an attempt in an execution of that name."""
    return AttemptKey(ExecutionId("flytesnacks", "development", name), "n0", number)


def some_records() -> list[Record]:
    """Return every kind of record, with every field set in one of them."""
    task = Identifier(TASK, "flytesnacks", "development", "notebook.fit", "v1")
    error = ErrorInfo("USER:ValueError", "n × 2 is odd", USER, recoverable=True)
    lost = ErrorInfo("SYSTEM:AttemptLost", "lost", SYSTEM)
    child = ExecutionId("flytesnacks", "development", "child")
    logs = (("log", "file:///log.txt"), ("other", "https://example.org"))
    return [
        WorkflowRecord(1, phases.RUNNING),
        NodeRecord(
            2, "n0", "n0", phases.QUEUED, "fit", input_uri="s3://in", cache_status=r.CACHE_MISS
        ),
        NodeRecord(3, "n1", "n1", phases.RUNNING, "sub", "workflow", is_parent=True, branch=1),
        NodeRecord(4, "n1-0-n0", "n0", phases.FAILED, "x", parent_id="n1", error=lost),
        NodeRecord(
            5, "n2", "n2", phases.SUCCEEDED, "lp", output_uri="s3://o", child_execution=child
        ),
        AttemptRecord(
            6, "n0", 0, phases.QUEUED, task, 0, "s3://in", "s3://folder", task_type="python"
        ),
        AttemptRecord(7, "n0", 0, phases.RUNNING, task, 1, logs=logs, pid=4711, reason="because"),
        AttemptRecord(
            8, "n0", 0, phases.FAILED, task, error=error, cpu_s=0.25, max_rss_bytes=1 << 30
        ),
        AttemptRecord(9, "n0", 1, phases.SUCCEEDED, task, cache_status=r.CACHE_POPULATED),
        WorkflowRecord(10, phases.FAILED, error),
        WorkflowRecord(11, phases.SUCCEEDED, output_uri="s3://outputs.pb"),
    ]
