"""`trial`: run workflows in a test with tasks, workflows and launch plans replaced.

```python
def test_forecast():
    with trial({fetch: [3, 4, 5], train: lambda rows: len(rows) / 10}) as run:
        assert forecast(city="Bern") == 0.3
    assert run.calls(fetch) == [{"city": "Bern"}]
```

The engine is the one of a local run, so retries, branches, maps, dynamic tasks, failure nodes and child
executions behave as they do in Flyte. A task that is not replaced does not run, unless it is allowed.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple

from flyte_nb.api.errors import SYSTEM, ErrorInfo, FlyteNbError, TaskFailed, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import Record
from flyte_nb.propeller.run import LocalSettings
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.execution_context import current_context
from flyte_nb.sdk.kinds.map_task import MapTask
from flyte_nb.sdk.task import AnyTask, Task
from flyte_nb.session.local_run import LocalRun
from flyte_nb.session.session import default_runner
from flyte_nb.testing import stand_ins
from flyte_nb.testing.clock import FakeClock
from flyte_nb.testing.run_events import RunEvents

_HANG_S = 30.0
"""How long an attempt that shall time out waits to be ended, in real time."""


class NotReplaced(FlyteNbError):
    """A task was called that is neither replaced nor allowed to run."""


class SystemFailure(FlyteNbError):
    """Given to `fail`: the platform fails, e.g. a machine is taken away. Such attempts are tried again."""

    def __init__(self, message: str = "The machine was taken away.") -> None:
        super().__init__(message)


class TimeOut(FlyteNbError):
    """Given to `fail`: the attempt does not end by itself, so the task's `timeout` ends it."""

    def __init__(self, message: str = "The attempt takes too long.") -> None:
        super().__init__(message)


class _Fault(NamedTuple):
    error: BaseException
    attempts: "Collection[int] | None"  # `None`: every one


class trial:  # noqa: N801 - it is used as a statement: `with trial({fetch: 3}) as run:`
    """A `with` statement in which calls run with replacements. Made anew for each test.

    Inside it, what is called runs in this process: a workflow, or a task alone. Nothing is cached.
    """

    def __init__(
        self,
        replacements: "Mapping[Definition, object] | None" = None,
        /,
        *,
        allow: "Collection[Definition]" = (),
        strict: bool = True,
        clock: "FakeClock | None" = None,
        parallelism: int = 1,
    ) -> None:
        """Say what is replaced.

        Args:
            replacements: by task, map, workflow, launch plan or reference: a value, or a function that gets
                the inputs by name and returns the value. A replaced workflow or launch plan is one node that
                runs no code of it.
            allow: tasks that run though they are not replaced.
            strict: `False` allows every task.
            clock: set it to pass the time of sleeps and timeouts; `None` makes a `FakeClock` of its own.
            parallelism: how many tasks may run side by side. With 1 the order of events is the same in
                every run.

        Raises:
            UsageError: something replaced is no entity, or a function does not take its inputs.
        """
        self.clock = clock or FakeClock()
        self._replaced = list((replacements or {}).items())
        self._allowed = list(allow)
        self._strict, self._parallelism = strict, parallelism
        self._faults: list[tuple[Definition, _Fault]] = []
        self._calls: list[tuple[Definition, dict[str, object]]] = []
        self._made: list[tuple[Definition, Definition]] = []
        self._records: list[tuple[ExecutionId, Record]] = []
        self._undo = ExitStack()
        for entity, value in self._replaced:
            _check_entity(entity)
            if callable(value):
                stand_ins.check_takes(entity, value)
        for entity in self._allowed:
            _check_entity(entity)
        self._runner = default_runner().for_test(self._settings)

    def __enter__(self) -> "trial":
        replaced = context.stand_ins.set(self._stand_in)
        self._undo.callback(context.stand_ins.reset, replaced)
        runner = context.runner.set(self._runner)
        self._undo.callback(context.runner.reset, runner)
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self._undo.close()

    def fail(
        self, task: Definition, error: BaseException, *, attempts: "Collection[int] | None" = (0,)
    ) -> None:
        """Let attempts of a task fail, in place of what it would do.

        Args:
            task: the task, or anything else that is replaced.
            error: what it raises: an exception of its own, `RecoverableError`, `SystemFailure`, `TimeOut`.
            attempts: which attempts fail, counted from 0; `None` means all. Each element of a map counts
                its own.

        Raises:
            UsageError: it shall time out, and has no `timeout`.
        """
        _check_entity(task)
        if isinstance(error, TimeOut) and not (
            isinstance(task, AnyTask) and task.options.timeout_s
        ):
            raise UsageError(f"{task.short_name} has no timeout: write @task(timeout=…).")
        self._faults.append((task, _Fault(error, attempts)))

    def calls(self, entity: Definition) -> "list[dict[str, object]]":
        """Return the inputs of each call of what is replaced or allowed, also of attempts that failed."""
        return [inputs for known, inputs in self._calls if _is(known, entity)]

    @property
    def events(self) -> RunEvents:
        """What has happened in the last run: events of the execution, its nodes and their attempts."""
        return RunEvents(self._records)

    @property
    def last(self) -> LocalRun:
        """The last run, with its nodes, phases and error.

        Raises:
            UsageError: nothing was called.
        """
        if self._runner.last is None:
            raise UsageError("Nothing was called in this trial.")
        return self._runner.last

    def _settings(self, usual: LocalSettings) -> LocalSettings:
        self._records.clear()
        return usual._replace(
            slots=self._parallelism,
            watch=self._watch,
            clock=self.clock,
            sleep=self.clock.advance,
        )

    def _watch(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        self._records.extend((execution, record) for record in records)

    def _stand_in(self, entity: Definition) -> Definition:
        for known, made in self._made:
            if entity is known or entity is made:
                return made
        made = self._made_for(entity)
        self._made.append((entity, made))
        return made

    def _made_for(self, entity: Definition) -> Definition:
        for known, value in self._replaced:
            if _is(known, entity):
                return stand_ins.StandIn(entity, self._body(value))
        if isinstance(entity, MapTask):
            made = self._stand_in(entity.original)
            assert isinstance(made, Task)  # a task is replaced by a task
            return stand_ins.mapped(entity, made)
        if isinstance(entity, Task):
            return stand_ins.spied(entity, self._original)
        return entity  # workflows and launch plans run their nodes

    def _body(self, value: object) -> stand_ins.Body:
        def body(entity: Definition, inputs: "dict[str, object]") -> object:
            __tracebackhide__ = True
            self._begin(entity, inputs)
            return value(**inputs) if callable(value) else value

        return body

    def _original(self, entity: Definition, inputs: "dict[str, object]") -> object:
        __tracebackhide__ = True
        if self._strict and not any(_is(known, entity) for known in self._allowed):
            raise NotReplaced(
                f"{entity.short_name} is not replaced. Write trial({{{entity.shown_name}: …}}), or"
                f" trial(allow=[{entity.shown_name}]) to run it."
            )
        self._begin(entity, inputs)
        assert isinstance(entity, Task)  # nothing else comes here
        return entity.function(**inputs)

    def _begin(self, entity: Definition, inputs: "dict[str, object]") -> None:
        """Note a call, and raise what it shall fail with."""
        __tracebackhide__ = True
        self._calls.append((entity, dict(inputs)))
        attempt = current_context().attempt
        for known, fault in self._faults:
            if not _is(known, entity) or (
                fault.attempts is not None and attempt not in fault.attempts
            ):
                continue
            if isinstance(fault.error, SystemFailure):
                text = str(fault.error)
                raise TaskFailed(ErrorInfo("SYSTEM:Failure", text, SYSTEM, recoverable=True))
            if isinstance(fault.error, TimeOut):
                assert isinstance(entity, AnyTask)  # checked by `fail`
                self._hang(entity.options.timeout_s)
            raise fault.error

    def _hang(self, timeout_s: float) -> None:
        """Let the task's time pass, and wait until the engine ends the attempt."""
        self.clock.advance(timeout_s + 1)
        end = time.monotonic() + _HANG_S
        while time.monotonic() < end:
            time.sleep(0.005)  # short, because an interrupt comes between steps of Python


def _is(known: Definition, entity: Definition) -> bool:
    return known is entity or known.is_same(entity)


def _check_entity(entity: object) -> None:
    if not isinstance(entity, Definition):
        raise UsageError(f"{entity!r} is no task, workflow, launch plan or reference.")
    stand_ins.function_of(entity)
