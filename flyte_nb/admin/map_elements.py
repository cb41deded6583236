"""The elements of maps as clients see them: `external_resources` of the map's one `TaskExecution`.

A map may have ten thousand elements, and each changes three times. So each element has a row of its own, and
the message of the map's task execution is stored without them. `whole` puts both together when somebody
reads it. Watchers get the elements that changed.

Source: flytepropeller/pkg/controller/nodes/array/event_recorder.go, and `mergeExternalResources` in
flyteadmin/pkg/repositories/transformers/task_execution.go, at v1.16.8.
"""

from collections.abc import Callable, Iterable

from flyteidl.admin import task_execution_pb2
from flyteidl.event import event_pb2

from flyte_nb.admin.store.database import Row, Transaction
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.api.errors import ErrorInfo, shortened
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import fixed_length_id
from flyte_nb.api.phases import (
    ABORTED,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    TIMED_OUT,
    UNDEFINED,
)
from flyte_nb.propeller.records import AttemptRecord, ElementRecord, NodeRecord
from flyte_nb.wire.encoding import varint
from flyte_nb.wire.enums import CACHE_STATUSES, TASK_PHASES
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_from_idl

PLUGIN = "k8s-array"
TASK_TYPE = "container_array"
"""What propeller calls the plugin and the type of every array node."""

COUNTS = "elements"
"""The field of `custom_info` with the number of elements by phase."""

_SHOWN_ERRORS = 200
"""Errors of so many elements are kept with them; all of them are in the map's own error."""
_ERROR_CHARACTERS = 1000
_MOST_BYTES = 3_000_000
"""gRPC clients refuse messages of 4 MB. Beyond this size, elements that succeeded have no links to logs."""
_ID_LENGTH = 50
_OF_ELEMENT = "execution_id = ? AND node_id = ? AND number = ?"

Query = Callable[[str, "tuple[object, ...]"], "Iterable[Row]"]


class MapElements:
    """The elements of one map within one transaction."""

    def __init__(
        self, transaction: Transaction, row_id: int, execution: ExecutionId, node_id: str
    ) -> None:
        """Read the map's task execution, if there is one.

        Args:
            transaction: Reads and writes the rows.
            row_id: The execution's row.
            execution: The execution.
            node_id: The array node.
        """
        self._transaction = transaction
        self._row_id = row_id
        self._execution = execution
        self._node_id = node_id
        self._prefix = _prefix(execution, node_id)
        row = transaction.one(
            f"SELECT message FROM task_executions WHERE {OF_EXECUTION} AND node_id = ?",
            (*execution, node_id),
        )
        self._message: task_execution_pb2.TaskExecution | None = None
        if row is not None:
            self._message = task_execution_pb2.TaskExecution.FromString(row[0])
        self._record: AttemptRecord | None = None
        self._counts: dict[str, int] = {}
        if self._message is not None:
            counts = self._message.closure.custom_info.fields[COUNTS].struct_value.fields
            self._counts = {phase: int(count.number_value) for phase, count in counts.items()}
        self._news: list[bytes] = []

    @property
    def news(self) -> bytes:
        """The elements that changed, as bytes to put after those of the message."""
        return _resources(self._news)

    def message(self) -> "task_execution_pb2.TaskExecution | None":
        """Return the message of the map's task execution; `None` when there is nothing to write."""
        message = self._message
        if message is None or self._record is None:
            return None
        closure = message.closure
        closure.metadata.plugin_identifier = PLUGIN
        counts = closure.custom_info.fields[COUNTS].struct_value
        # Otherwise phases that no element is in any more would keep their counts.
        counts.Clear()
        counts.update({phase: count for phase, count in self._counts.items() if count})
        return message

    def attempt(self) -> AttemptRecord:
        """Return what happened to the map as a whole.

        Raises:
            ValueError: when nothing did.
        """
        if self._record is None:
            raise ValueError(f"Nothing happened to the map {self._node_id}.")
        return self._record

    def apply(self, record: ElementRecord) -> None:
        """Change the rows of the record's elements."""
        if record.phase == UNDEFINED:
            self._begin(record)
            return
        for number in range(record.first, record.first + record.number):
            self._apply(record, number)
        self._record = self._as_attempt(record.at_us, RUNNING)

    def end(self, record: NodeRecord) -> None:
        """Take over the end of the array node. One that ended before it had elements has no row."""
        if self._message is None:
            return
        # A task execution has no phase TIMED_OUT in flyteidl.
        phase = FAILED if record.phase == TIMED_OUT else record.phase
        if phase in (SUCCEEDED, FAILED, ABORTED):
            made = self._as_attempt(record.at_us, phase)
            error = record.error if phase == FAILED else None
            self._record = made._replace(output_uri=record.output_uri, error=error)

    def _begin(self, record: ElementRecord) -> None:
        if record.task_id is None:
            return
        row = self._transaction.one(
            f"SELECT input_uri FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?",
            (*self._execution, self._node_id),
        )
        self._message = task_execution_pb2.TaskExecution()
        self._counts = {UNDEFINED: record.number}
        self._record = AttemptRecord(
            record.at_us,
            self._node_id,
            0,
            QUEUED,
            record.task_id,
            input_uri=row[0] if row is not None else "",
            task_type=TASK_TYPE,
        )

    def _as_attempt(self, at_us: int, phase: str) -> AttemptRecord:
        if self._record is not None:  # the message has no id before it is stored
            task_id, input_uri = self._record.task_id, self._record.input_uri
        else:
            message = self._message or task_execution_pb2.TaskExecution()
            task_id, input_uri = identifier_from_idl(message.id.task_id), message.input_uri
        return AttemptRecord(
            at_us, self._node_id, 0, phase, task_id, input_uri=input_uri, task_type=TASK_TYPE
        )

    def _apply(self, record: ElementRecord, number: int) -> None:
        place = (self._row_id, self._node_id, number)
        row = self._transaction.one(
            f"SELECT attempt, message FROM elements WHERE {_OF_ELEMENT} ORDER BY attempt DESC",
            place,
        )
        before = UNDEFINED
        info = event_pb2.ExternalResourceInfo()
        if row is not None:
            info.ParseFromString(row[1])
            before = TASK_PHASES.Name(info.phase)
        if row is None or row[0] != record.attempt:
            info.Clear()
            info.external_id = f"{self._prefix}-n{number}-{record.attempt}"
            info.index, info.retry_attempt = number, record.attempt
        info.phase = TASK_PHASES.Value(record.phase)
        if record.child_execution is not None:
            child = execution_id_to_idl(record.child_execution)
            info.workflow_node_metadata.execution_id.CopyFrom(child)
        if record.cache_status:
            info.cache_status = CACHE_STATUSES.Value(record.cache_status)
        if record.logs and not info.logs:
            for name, uri in record.logs:
                info.logs.add(name=f"{name}-{number}", uri=uri)
        self._counts[before] = self._counts.get(before, 0) - 1
        self._counts[record.phase] = self._counts.get(record.phase, 0) + 1
        if record.error is not None and self._counts.get(FAILED, 0) <= _SHOWN_ERRORS:
            _note_error(info, record.error)
        data = info.SerializeToString()
        self._transaction.execute_many(
            "INSERT OR REPLACE INTO elements (execution_id, node_id, number, attempt, message)"
            " VALUES (?, ?, ?, ?, ?)",
            [(*place, record.attempt, data)],
        )
        self._news.append(data)


def whole(message: bytes, query: Query) -> bytes:
    """Return the message of a task execution with the elements, if it is a map's.

    Args:
        message: What the table has.
        query: Runs an SQL query and returns its rows.
    """
    # Most task executions are no maps, and looking for the name costs less than parsing.
    if PLUGIN.encode() not in message:
        return message
    task = task_execution_pb2.TaskExecution.FromString(message)
    if task.closure.metadata.plugin_identifier != PLUGIN:
        return message
    node = task.id.node_execution_id
    run = node.execution_id
    execution = ExecutionId(run.project, run.domain, run.name)
    rows = query(
        "SELECT number, message FROM elements WHERE execution_id ="
        f" (SELECT id FROM executions WHERE {OF_EXECUTION}) AND node_id = ?"
        " ORDER BY number, attempt",
        (*execution, node.node_id),
    )
    counts = task.closure.custom_info.fields[COUNTS].struct_value.fields.values()
    size = sum(int(count.number_value) for count in counts)
    known = [(number, data) for number, data in rows]
    return message + _resources(_all(known, size, _prefix(execution, node.node_id)))


def _all(rows: "list[tuple[int, bytes]]", size: int, prefix: str) -> "list[bytes]":
    """Return the messages of all elements in their order; those that have not begun have no row."""
    if sum(len(data) for _, data in rows) > _MOST_BYTES:
        rows = [(number, _without_logs(data)) for number, data in rows]
    made: list[bytes] = []
    following = 0
    for number, data in [*rows, (size, b"")]:
        for fresh in range(following, number):
            info = event_pb2.ExternalResourceInfo(external_id=f"{prefix}-n{fresh}-0", index=fresh)
            made.append(info.SerializeToString())
        following = number + 1
        if data:
            made.append(data)
    return made


def _without_logs(data: bytes) -> bytes:
    info = event_pb2.ExternalResourceInfo.FromString(data)
    if TASK_PHASES.Name(info.phase) == SUCCEEDED:
        del info.logs[:]
    return info.SerializeToString()


def _note_error(info: event_pb2.ExternalResourceInfo, error: ErrorInfo) -> None:
    """Put the error where flyteidl has room for it: it has no field for an element's error."""
    text = shortened(error.message, _ERROR_CHARACTERS)
    info.custom_info.update({"error": {"code": error.code, "message": text, "kind": error.origin}})


def _prefix(execution: ExecutionId, node_id: str) -> str:
    """Return the beginning of the elements' external ids: what propeller names a map's pods by."""
    return fixed_length_id(f"{execution.name}-{node_id}-0", _ID_LENGTH)


def _resources(messages: "Iterable[bytes]") -> bytes:
    """Return the bytes of `closure.metadata.external_resources`, to be put after a `TaskExecution`'s."""
    # Put together by hand, so that the stored bytes of ten thousand elements are copied and not parsed.
    fields = b"".join(b"\x12" + varint(len(data)) + data for data in messages)
    if not fields:
        return b""
    metadata = b"\x82\x01" + varint(len(fields)) + fields  # field 16
    return b"\x1a" + varint(len(metadata)) + metadata  # field 3
