"""What the engine needs from outside: who remembers, who runs tasks, who remembers results, the time.

Conformance suites for each are in `flyte_nb.testing.propeller_conformance`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.records import Record
from flyte_nb.runtime.installations import Installation

Clock = Callable[[], int]
"""The time now, in microseconds since 1970-01-01T00:00Z."""


class Recorder(Protocol):
    """The engine's memory. Called from the engine's driver thread, one call at a time."""

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Keep `records`, in this order, all of them or none; durable when this returns.

        The engine acts on a change only after this came back. When it raises `StorageError` or
        `OSError` the engine acts on nothing, and calls again with the same records until it works.
        """
        ...

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Every record of that execution, in the order in which they were recorded."""
        ...


class AttemptKey(NamedTuple):
    """One attempt at one node of one execution."""

    execution: ExecutionId
    node_id: str
    attempt: int


class Attempt(NamedTuple):
    """All that an executor needs to know of one attempt."""

    key: AttemptKey
    task_id: Identifier
    task: TaskTemplate
    inputs: LiteralMap
    """Empty for `adopt`: a running attempt is taken over also when its inputs cannot be read."""
    input_uri: str
    """`inputs.pb`; already written, unless the executor is `in_memory`."""
    output_prefix: str
    """The attempt's folder in the store: `outputs.pb` or `error.pb` end up in it."""
    raw_output_prefix: str = ""
    checkpoint_uri: str = ""
    prev_checkpoint_uri: str = ""
    envs: Mapping[str, str] = {}
    """Variables for the task's process beside the executor's own (flyte-backend: 4.2)."""


class Surroundings(NamedTuple):
    """What an attempt gets of those who registered and launched it, on a machine that runs for several."""

    installation: "Installation | None" = None
    """The Python that registered the task; `None` when no client said; then the executor's own is taken."""
    variables: "Mapping[str, str] | None" = None
    """How the launching side reaches stores and indexes; `None` when it did not say."""
    secrets: Mapping[str, str] = {}
    """Values of the secrets that the task asks for, by `sdk.secrets.name_of`."""


class Started(NamedTuple):
    """An attempt was started, or found running."""

    logs: tuple[tuple[str, str], ...] = ()
    """`(name, uri)`."""
    pid: "int | None" = None


class AttemptReport(NamedTuple):
    """An attempt has ended: with `outputs`, or with `error`; none of its processes lives."""

    key: AttemptKey
    outputs: "LiteralMap | None" = None
    error: "ErrorInfo | None" = None
    cpu_s: "float | None" = None
    max_rss_bytes: "int | None" = None
    cause: "BaseException | None" = None
    """The user's own exception, where the task ran in this process."""


class Executor(Protocol):
    """Runs attempts. Each started or adopted attempt gives exactly one report.

    Methods are called from one thread, and do not wait for a task (an executor that runs tasks in
    the caller's own thread is the exception: its `start` returns when the task has ended).
    """

    @property
    def slots(self) -> int:
        """How many attempts may run at a time, over all executions."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether values stay in this process: no `inputs.pb` is written, no `outputs.pb` is read."""
        ...

    def listen(self, wake: Callable[[], None]) -> None:
        """From now on call `wake` (from any thread) when there is something to poll."""
        ...

    def start(self, attempt: Attempt) -> Started:
        """Start it. It runs on when the process that started it dies.

        Raises:
            TaskFailed: when it cannot be started; there is no report then.
        """
        ...

    def adopt(self, attempt: Attempt) -> "Started | None":
        """After a restart: take over an attempt that was recorded, whatever became of it.

        Returns what it is when it was started once; a report follows, soon when it has ended already.
        `None` when it never was started: `start` may be called then. Processes that a dead attempt
        left behind are ended first.
        """
        ...

    def poll(self) -> list[AttemptReport]:
        """The reports since the last call; does not wait."""
        ...

    def kill(self, key: AttemptKey) -> None:
        """End every process of that attempt: asked first, then forced. A report follows as always.

        Nothing happens when it has ended or never was.
        """
        ...

    def close(self) -> None:
        """Stop watching. Attempts run on and can be adopted later. May be called twice."""
        ...


class Catalog(Protocol):
    """Results of discoverable tasks by key (see `cache.key`)."""

    def get(self, key: str) -> "bytes | None":
        """The `LiteralMap` that was put there, or `None`. Raises `StorageError` when unreachable."""
        ...

    def put(self, key: str, outputs: bytes) -> None:
        """Keep a `LiteralMap`, replacing what was there. Raises `StorageError` when unreachable."""
        ...
