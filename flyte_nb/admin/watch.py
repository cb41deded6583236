"""Watch executions: a commit publishes its changes and wakes the watchers. Nobody polls.

`/flyte_nb.Watch/Executions` takes flyteidl's `WorkflowExecutionGetRequest`. It streams
`google.protobuf.Any`, each with an `Execution`, `NodeExecution` or `TaskExecution`: first everything as it
is now, then each message that changes (of a map, only the elements that changed). The stream ends after the
message of the execution that has ended. docs/watching.md is about the whole way to the kernel.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flyteidl.admin import execution_pb2
from google.protobuf import any_pb2

from flyte_nb.admin.map_elements import whole
from flyte_nb.admin.refused import Refused, not_found
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.admin.transformers import EXECUTION_PHASES
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.phases import ENDED_EXECUTION
from flyte_nb.wire.identifiers import execution_id_from_idl

WATCH_EXECUTIONS = "/flyte_nb.Watch/Executions"
MAX_WATCHERS = 128
"""Each watcher occupies one thread of the server."""

_TYPE = "type.googleapis.com/flyteidl.admin."
EXECUTION = _TYPE + "Execution"
NODE_EXECUTION = _TYPE + "NodeExecution"
TASK_EXECUTION = _TYPE + "TaskExecution"


class Change(NamedTuple):
    """One message that changed: its type, what identifies it, and its content."""

    type_url: str
    key: tuple[Any, ...]
    message: bytes
    is_part: bool = False
    """Whether the message only adds to the one before: it has the elements of a map that changed, and not
    all ten thousand. Protobuf messages are added by putting their bytes one after the other."""


class Subscription:
    """The changes that one watcher has not taken yet, in order of first change.

    Of each message only the latest is kept, and parts of a message (`Change.is_part`) are joined. So memory
    is bounded by the execution, however slow the watcher is.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._pending: dict[tuple[str, tuple[Any, ...]], tuple[int, Change]] = {}
        self._closed = False

    def put(self, serial: int, changes: Sequence[Change]) -> None:
        """Add the changes of commit number `serial`.

        They replace older ones of the same messages; parts (`Change.is_part`) join them.
        """
        with self._condition:
            # A change keeps the place of the first one that was not taken, so nothing starves.
            for change in changes:
                key = (change.type_url, change.key)
                before = self._pending.get(key) if change.is_part else None
                if before is not None:
                    # The watcher has taken neither of the two parts, so it needs both.
                    change = before[1]._replace(message=before[1].message + change.message)
                self._pending[key] = (serial, change)
            self._condition.notify()

    def take(self) -> "list[tuple[int, Change]] | None":
        """Wait for changes and return them all; return `None` once the subscription is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._pending or self._closed)
            if self._closed:
                return None
            taken = list(self._pending.values())
            self._pending.clear()
            return taken

    def close(self) -> None:
        """Wake the watcher for the last time."""
        with self._condition:
            self._closed = True
            self._condition.notify()


class Feed:
    """Hands committed changes to the watchers of an execution."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: dict[ExecutionId, list[Subscription]] = {}
        self._count = 0
        self._closed = False

    def publish(self, execution: ExecutionId, serial: int, changes: Sequence[Change]) -> None:
        """Hand out the changes of one commit. Called in the order of commits."""
        # A copy, so that no watcher is woken while the lock is held.
        with self._lock:
            watchers = tuple(self._subscriptions.get(execution, ()))
        for watcher in watchers:
            watcher.put(serial, changes)

    def subscribe(self, execution: ExecutionId) -> Subscription:
        """Start to collect the changes of that execution.

        Raises:
            Refused: `RESOURCE_EXHAUSTED` when there are too many watchers, `UNAVAILABLE` when the backend
                stops.
        """
        subscription = Subscription()
        with self._lock:
            if self._closed:
                raise _stopping()
            if self._count >= MAX_WATCHERS:
                raise Refused(
                    "RESOURCE_EXHAUSTED",
                    f"{MAX_WATCHERS} watchers are following executions already."
                    " Close some, or ask for the execution from time to time instead.",
                )
            self._count += 1
            self._subscriptions.setdefault(execution, []).append(subscription)
        return subscription

    def unsubscribe(self, execution: ExecutionId, subscription: Subscription) -> None:
        """Stop to collect."""
        with self._lock:
            watchers = self._subscriptions.get(execution, [])
            if subscription in watchers:
                watchers.remove(subscription)
                self._count -= 1
            if not watchers:
                self._subscriptions.pop(execution, None)

    def close(self) -> None:
        """Wake every watcher for the last time."""
        with self._lock:
            # From here on `subscribe` refuses, so no watcher is missed.
            self._closed = True
            watchers = [each for group in self._subscriptions.values() for each in group]
        for watcher in watchers:
            watcher.close()


class WatchService:
    """Serves the stream."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    def executions(
        self, request: execution_pb2.WorkflowExecutionGetRequest, context: Any
    ) -> Iterator[bytes]:
        """Yield every message of one execution as it is now, then each one that changes.

        Raises:
            Refused: `NOT_FOUND` when there is no such execution, `UNAVAILABLE` when the backend stops.
        """
        id = execution_id_from_idl(request.id)
        # Subscribe first, read then: a commit in between is in both, and its serial shows that.
        subscription = self._feed.subscribe(id)
        try:
            # gRPC calls this when the client leaves, which ends the wait in `take`.
            context.add_callback(subscription.close)
            seen, changes = self._snapshot(request, id)
            yield from map(_packed, changes)
            ended = _has_ended(changes)
            while not ended:
                taken = subscription.take()
                if taken is None:
                    raise _stopping()
                # What was committed before the snapshot is in it.
                fresh = [change for serial, change in taken if serial > seen]
                ended = _has_ended(fresh)
                # The execution comes last: a client stops reading once it has ended.
                fresh.sort(key=lambda change: change.type_url == EXECUTION)
                yield from map(_packed, fresh)
        finally:
            self._feed.unsubscribe(id, subscription)

    def _snapshot(
        self, request: execution_pb2.WorkflowExecutionGetRequest, id: ExecutionId
    ) -> "tuple[int, list[Change]]":
        where = OF_EXECUTION
        # One snapshot, so that the serial fits the messages.
        with self._database.snapshot() as connection:
            row = connection.execute(
                f"SELECT serial, message, phase FROM executions WHERE {where}", id
            ).fetchone()
            if row is None:
                raise not_found("execution", request.id)
            nodes = connection.execute(
                f"SELECT node_id, message FROM node_executions WHERE {where} ORDER BY id", id
            ).fetchall()
            tasks = connection.execute(
                "SELECT node_id, retry_attempt, message FROM task_executions"
                f" WHERE {where} ORDER BY id",
                id,
            ).fetchall()
            tasks = [
                (node, attempt, whole(blob, lambda sql, values: connection.execute(sql, values)))
                for node, attempt, blob in tasks
            ]
        serial, message, phase = row
        execution = Change(EXECUTION, (), message)
        rest = [
            *(Change(NODE_EXECUTION, (node,), blob) for node, blob in nodes),
            *(Change(TASK_EXECUTION, (node, attempt), blob) for node, attempt, blob in tasks),
        ]
        # An ended execution is the last message of a stream; else it is the first one.
        if phase in ENDED_EXECUTION:
            return serial, [*rest, execution]
        return serial, [execution, *rest]


def _has_ended(changes: "Sequence[Change]") -> bool:
    for change in changes:
        if change.type_url == EXECUTION:
            phase = execution_pb2.Execution.FromString(change.message).closure.phase
            return EXECUTION_PHASES.Name(phase) in ENDED_EXECUTION
    return False


def _packed(change: Change) -> bytes:
    return any_pb2.Any(type_url=change.type_url, value=change.message).SerializeToString()


def _stopping() -> Refused:
    return Refused("UNAVAILABLE", "The local backend is stopping. Watch again when it has started.")
