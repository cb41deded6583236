"""The engine's ports: who keeps its records, who runs attempts, who keeps results and signals, and the clock.

Each has a conformance suite in `flyte_nb.testing.propeller_conformance`, which an implementation's
tests inherit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import LiteralType

from flyte_nb.api.errors import ErrorInfo, FlyteNbError, UsageError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.compiler import LaunchPlanInterface
from flyte_nb.propeller.records import Record
from flyte_nb.runtime.installations import Installation

LaunchPlans = Callable[[IdentifierMessage], "LaunchPlanInterface | None"]
"""Returns the interface of a registered launch plan; `None` when there is none of that identifier."""


class Gone(UsageError):
    """The recorder has no such execution (any more), so no change of it can be kept."""


class NoRoom(FlyteNbError):
    """The executor cannot start the attempt now. The message says why: `2 GPUs; 1 of 2 are free`."""


Clock = Callable[[], int]
"""The time now, in microseconds since 1970-01-01T00:00Z."""


class Recorder(Protocol):
    """The engine's memory. The engine calls it from its driver thread, one call at a time."""

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Keep all of `records`, in this order, or none. They are durable when this returns.

        The engine acts on a change only after this call returned. When it raises, the engine does
        nothing, and calls again with the same records until it succeeds.

        Raises:
            StorageError: when the records cannot be kept now.
            OSError: likewise.
            Gone: when there is no such execution. The engine then ends what runs of it, and forgets it.
        """
        ...

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return every record of that execution, in the order in which they were recorded."""
        ...


class AttemptKey(NamedTuple):
    """One attempt at one node of one execution."""

    execution: ExecutionId
    node_id: str
    attempt: int


class Attempt(NamedTuple):
    """All that an executor needs to know about one attempt."""

    key: AttemptKey
    task_id: Identifier
    task: TaskTemplate
    inputs: LiteralMap
    """Empty for `adopt`: a running attempt is taken over even when its inputs cannot be read."""
    input_uri: str
    """URI of `inputs.pb`. It is already written, unless the executor is `in_memory`."""
    output_prefix: str
    """URI of the attempt's folder, which gets `outputs.pb` or `error.pb`."""
    raw_output_prefix: str = ""
    """URI below which the attempt puts files that its values refer to."""
    checkpoint_uri: str = ""
    prev_checkpoint_uri: str = ""
    """The `checkpoint_uri` of the attempt before; empty for the first."""
    envs: Mapping[str, str] = {}
    """Variables for the task's process, beside the executor's own."""
    timeout_us: int = 0
    """The time that the attempt has; 0 means no limit. The engine keeps the time, and calls `kill`."""
    element: int = -1
    """The number of the element of a map that it is an attempt at; -1 for other nodes."""


class Surroundings(NamedTuple):
    """What an attempt gets from the people who registered its task and launched its execution.

    A backend runs the tasks of several kernels. Each attempt has the Python of one and the credentials
    of another.
    """

    installation: "Installation | None" = None
    """The Python that registered the task. `None` when the client sent none: the executor uses its own."""
    variables: "Mapping[str, str] | None" = None
    """How the launching side reaches stores and indexes. `None` when the client sent nothing."""
    secrets: Mapping[str, str] = {}
    """The values of the secrets that the task asks for, by `sdk.secrets.name_of`."""


class Started(NamedTuple):
    """An attempt that was started, or that was found running."""

    logs: tuple[tuple[str, str], ...] = ()
    """`(name, uri)`."""
    pid: "int | None" = None


class AttemptReport(NamedTuple):
    """The end of an attempt: it has `outputs`, `job` or `error`, and none of its processes lives."""

    key: AttemptKey
    outputs: "LiteralMap | None" = None
    error: "ErrorInfo | None" = None
    cpu_s: "float | None" = None
    max_rss_bytes: "int | None" = None
    cause: "BaseException | None" = None
    """The user's own exception, where the task ran in this process."""
    job: "DynamicJobSpec | None" = None
    """The nodes that a dynamic task made, as in its `futures.pb`. Their outputs become the task's."""
    deck_uri: str = ""
    """Where the attempt left a deck; empty when it left none, or the task says that it makes none."""


class Executor(Protocol):
    """Runs attempts. Each attempt that was started or adopted gives exactly one report.

    The engine calls the methods from one thread, and they do not wait for a task. The one exception is
    an executor that calls tasks in this thread: its `poll` returns when the task has ended.
    """

    @property
    def slots(self) -> int:
        """Return how many attempts may run at a time, over all executions."""
        ...

    @property
    def in_memory(self) -> bool:
        """Return whether values stay in this process: no `inputs.pb` is written, no `outputs.pb` is read."""
        ...

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on, from any thread, when `poll` has something to return."""
        ...

    def start(self, attempt: Attempt) -> Started:
        """Start the attempt. It goes on when the process that started it dies.

        Raises:
            TaskFailed: when it cannot be started; no report follows then.
            NoRoom: when others have what it needs. The engine starts it again after one of them has ended.
        """
        ...

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Take over an attempt that was recorded before a restart, whatever became of it.

        An executor first ends the processes that a dead attempt left behind.

        Returns:
            The attempt, if it was ever started; a report follows, soon if it has already ended. `None`
            if it was never started; then `start` may be called.

        Raises:
            OSError: when this cannot be found out now. The engine asks again.
        """
        ...

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call, without waiting."""
        ...

    def kill(self, key: AttemptKey) -> None:
        """End every process of that attempt: ask first, then force. A report follows as always.

        Nothing happens when the attempt has ended or does not exist.
        """
        ...

    def close(self) -> None:
        """Stop watching. Attempts go on and can be adopted later. May be called twice."""
        ...


class FormerNode(NamedTuple):
    """A node as it stands in an execution that is recovered."""

    phase: str
    input_uri: str = ""
    output_uri: str = ""
    cache_status: str = ""
    cache_key: str = ""
    checkpoint_uri: str = ""
    """Where its last attempt kept its checkpoint."""
    child_execution: "ExecutionId | None" = None
    """What a launch plan node started."""
    deck_uri: str = ""
    job_uri: str = ""
    """`futures.pb` of a dynamic task."""
    workflow_uri: str = ""
    """What that was compiled to."""


class FormerNodes(Protocol):
    """Knows the nodes of executions that ran before. The engine calls it from its driver thread."""

    def node(self, execution: ExecutionId, node_id: str) -> "FormerNode | None":
        """Return how that node stands; `None` when the execution has no such node."""
        ...


class ChildLaunch(NamedTuple):
    """The execution that a launch plan node starts."""

    id: ExecutionId
    launch_plan: Identifier
    inputs: LiteralMap
    """What the node binds. Defaults and fixed inputs of the launch plan are not in it."""
    parent: ExecutionId
    node_id: str
    """The node that starts it."""
    recovers: "ExecutionId | None" = None
    """The execution that this node started before, whose results are taken over if its inputs are equal."""


class ChildState(NamedTuple):
    """How an execution stands that a node started."""

    phase: str
    outputs: "LiteralMap | None" = None
    """With SUCCEEDED."""
    error: "ErrorInfo | None" = None
    """With FAILED."""


class Children(Protocol):
    """Starts executions for launch plan nodes. The engine calls it from its driver thread."""

    def launch(self, child: ChildLaunch) -> None:
        """Start the execution. Nothing happens when this node has started it already.

        Raises:
            TaskFailed: when it cannot be started; `info` has propeller's code and text.
            StorageError: when this cannot be done now.
        """
        ...

    def state(self, id: ExecutionId) -> "ChildState | None":
        """Return how the execution stands; `None` when there is none, for it may have been deleted.

        Raises:
            StorageError: when its outputs cannot be read.
        """
        ...

    def terminate(self, id: ExecutionId, cause: str) -> None:
        """Begin to abort the execution; nothing happens when it has ended, or there is none."""
        ...


class ElementBatch(NamedTuple):
    """Elements of a map that follow each other and have not begun."""

    execution: ExecutionId
    task_id: Identifier
    task: TaskTemplate
    inputs: LiteralMap
    """The inputs of the whole map."""
    bound: frozenset[str]
    """Inputs that every element gets whole."""
    elements: range
    key_of: "Callable[[int], AttemptKey]"
    """Returns the key of the first attempt at an element."""


class BatchEnd(NamedTuple):
    """How a batch of elements ended."""

    outputs: LiteralMap
    """By output the list of what the first elements returned, as many as `done`."""
    done: int
    """How many elements succeeded, from the first one on."""
    failure: "AttemptReport | None" = None
    """The failure of the element after them; `None` when those that follow were not begun."""


@runtime_checkable
class BatchExecutor(Protocol):
    """An executor in this process that can run small elements without the engine between two of them."""

    def prefers_batches(self, task_id: Identifier) -> bool:
        """Return whether elements that run this task are known to be small."""
        ...

    def run_batch(self, batch: ElementBatch) -> "BatchEnd | None":
        """Run elements until one fails or the time is up; `None` when each needs an attempt of its own."""
        ...


class Catalog(Protocol):
    """Keeps the results of discoverable tasks by key (see `cache.key`)."""

    def get(self, key: str) -> "bytes | None":
        """Return the `LiteralMap` that was put under this key, or `None`.

        Raises:
            StorageError: when the catalog cannot be reached.
        """
        ...

    def put(self, key: str, outputs: bytes) -> None:
        """Keep a `LiteralMap` under this key, in place of an earlier one.

        Raises:
            StorageError: when the catalog cannot be reached.
        """
        ...


class SignalTypeDiffers(FlyteNbError):
    """Two gates of one execution name the same signal and expect values of different types."""

    @classmethod
    def of(cls, signal_id: str) -> "SignalTypeDiffers":
        """Return the error for that signal."""
        return cls(
            f"The signal {signal_id!r} of this execution has another type already.",
            hint="Give the two gates different names.",
        )


class Signals(Protocol):
    """Keeps the values that people and programs give to waiting gates, by execution and signal id."""

    def listen(self, wake: "Callable[[ExecutionId, str], None]") -> None:
        """Call `wake`, from any thread, whenever a signal has got a value that is durable."""
        ...

    def get_or_create(
        self, execution: ExecutionId, signal_id: str, type: LiteralType
    ) -> "Literal | None":
        """Return the signal's value, or `None` when it has none yet; the signal exists afterwards.

        Raises:
            SignalTypeDiffers: when there is a signal of this id with another type.
            StorageError: when signals cannot be read or written now.
        """
        ...
