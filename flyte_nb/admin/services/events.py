"""Take the events of an engine elsewhere: FlyteAdmin's `CreateWorkflowEvent` and its siblings.

The rows change as they do for the backend's own engine. An execution that the own engine has begun takes no
events from elsewhere: two engines would contradict each other.

Source: flyteadmin/pkg/manager/impl/{execution,node_execution,task_execution}_manager.go and
validation/{execution,node_execution,task_execution}_validator.go at v1.16.8.
"""

from collections.abc import Callable
from typing import TypeVar

from flyteidl.admin import event_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.event import event_pb2 as events

from flyte_nb.admin.event_records import (
    Event,
    attempt_id,
    attempt_records,
    node_record,
    workflow_record,
)
from flyte_nb.admin.recorder import ExecutionRows
from flyte_nb.admin.refused import Refused, exists, invalid, missing, precondition
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_fields, check_identifier
from flyte_nb.admin.store.database import Transaction
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.watch import Feed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.phases import (
    ABORTING,
    ENDED_ATTEMPT,
    ENDED_EXECUTION,
    ENDED_NODE,
    QUEUED,
    RUNNING,
)
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.propeller.records import Record
from flyte_nb.wire.enums import EXECUTION_PHASES, NODE_PHASES, TASK_PHASES
from flyte_nb.wire.identifiers import execution_id_to_idl

_Event = TypeVar("_Event")

_MAX_OUTPUT_BYTES = 2 * 1024 * 1024
"""FlyteAdmin's default limit for outputs inside an event."""

_OWN_PRODUCERS = frozenset({"", "propeller"})
"""FlyteAdmin takes these for the cluster that has the execution, whichever that is."""


class Events:
    """Serve the calls by which an engine elsewhere reports what it does."""

    def __init__(self, parts: Parts, feed: Feed, on_end: "Callable[[ExecutionId], object]") -> None:
        """Set up the service.

        Args:
            parts: What every service may use.
            feed: Gets the changes of each commit.
            on_end: Called with an execution once its end is durable.
        """
        self._parts = parts
        self._feed = feed
        self._runs = Runs(parts.database)
        self._on_end = on_end

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "CreateWorkflowEvent": self._workflow,
            "CreateNodeEvent": self._node,
            "CreateTaskEvent": self._attempt,
        }

    def _workflow(
        self, request: event_pb2.WorkflowExecutionEventRequest
    ) -> event_pb2.WorkflowExecutionEventResponse:
        event = request.event
        if not request.HasField("event"):
            raise invalid("Workflow event handler was called without event")
        if not event.HasField("execution_id"):
            text = "Workflow event handler request event doesn't have an execution id"
            raise invalid(f"{text} - {go_text(event)}")
        id = event.execution_id
        check_fields(id, "project", "domain", "name")
        # Before the transaction: a row must not name outputs that are not stored yet.
        self._offload(event, id, "outputs")
        self._record(id, event.producer_id, self._check_workflow, event)
        # After the commit, as in the recorder: a loan goes only when the end is durable.
        if EXECUTION_PHASES.Name(event.phase) in ENDED_EXECUTION:
            self._on_end(ExecutionId(id.project, id.domain, id.name))
        return event_pb2.WorkflowExecutionEventResponse()

    def _node(
        self, request: event_pb2.NodeExecutionEventRequest
    ) -> event_pb2.NodeExecutionEventResponse:
        event = request.event
        _check_node_id(request.HasField("event"), event.id)
        id = event.id.execution_id
        self._offload(event, id, f"{event.id.node_id}/outputs")
        self._record(id, event.producer_id, self._check_node, event)
        return event_pb2.NodeExecutionEventResponse()

    def _attempt(
        self, request: event_pb2.TaskExecutionEventRequest
    ) -> event_pb2.TaskExecutionEventResponse:
        event = request.event
        if not request.HasField("event"):
            raise missing("event")
        if not event.HasField("occurred_at"):
            raise missing("occurred_at")
        if not event.HasField("parent_node_execution_id"):
            raise missing("node_execution_id")
        _check_node_id(True, event.parent_node_execution_id)
        is_set = event.HasField("task_id")
        if not is_set:
            raise missing("task_id")
        check_identifier(event.task_id, is_set, identifier_pb2.TASK)
        node = event.parent_node_execution_id
        self._offload(event, node.execution_id, f"{node.node_id}/{event.retry_attempt}/outputs")
        self._record(node.execution_id, event.producer_id, self._check_attempt, event)
        return event_pb2.TaskExecutionEventResponse()

    def _record(
        self,
        id: identifier_pb2.WorkflowExecutionIdentifier,
        producer: str,
        check: "Callable[[_Event, ExecutionRows], list[Record]]",
        event: _Event,
    ) -> None:
        """Check the event against the rows and change them, in one transaction."""
        execution = ExecutionId(id.project, id.domain, id.name)
        with self._parts.database.write() as transaction:
            # This refuses with NOT_FOUND, where `ExecutionRows` would raise the engine's error.
            self._runs.get(id)
            run = ExecutionRows(transaction, execution)
            self._check_producer(transaction, run, producer)
            for record in check(event, run):
                run.apply(record)
            serial, changes = run.finish()
            transaction.after_commit(lambda: self._feed.publish(execution, serial, changes))

    def _check_producer(self, transaction: Transaction, run: ExecutionRows, producer: str) -> None:
        found = transaction.one(
            "SELECT 1 FROM history WHERE execution_id = ? LIMIT 1", (run.row_id,)
        )
        if found is None and producer in _OWN_PRODUCERS:
            return
        cluster = "flyte_nb" if found else "propeller"
        detail = event_pb2.EventFailureReason()
        detail.incompatible_cluster.cluster = cluster
        id = go_text(execution_id_to_idl(run.id))
        raise precondition(
            f"Cannot accept events for running/terminated execution [{id}] from cluster [{producer}],"
            f"expected events to originate from [{cluster}]",
            detail,
        )

    def _check_workflow(
        self, event: events.WorkflowExecutionEvent, run: ExecutionRows
    ) -> list[Record]:
        record = workflow_record(event)
        id, phase = go_text(event.execution_id), record.phase
        before = EXECUTION_PHASES.Name(run.execution.closure.phase)
        if before == phase != QUEUED:
            raise exists(f"This phase {before} was already recorded for workflow execution {id}")
        if before in ENDED_EXECUTION:
            text = f"Invalid phase change from {before} to {phase} for workflow execution {id}"
            raise _ended(text, before)
        if before == RUNNING and phase == QUEUED:
            raise precondition(f"Cannot go from {before} to {phase} for workflow execution {id}")
        if before == ABORTING and phase not in ENDED_EXECUTION:
            text = f"Invalid phase change from aborting to {phase} for workflow execution {id}"
            raise precondition(text)
        return [record]

    def _check_node(self, event: events.NodeExecutionEvent, run: ExecutionRows) -> list[Record]:
        record = node_record(event)
        try:
            row_id, message, *_ = self._runs.node(event.id)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            if record.parent_id:
                self._parent(event)
                run.has_children(record.parent_id)
            return [record]
        before = NODE_PHASES.Name(
            node_execution_pb2.NodeExecution.FromString(message).closure.phase
        )
        if before == record.phase:
            raise exists(f"This phase was already recorded {before} for {go_text(event.id)}")
        if before in ENDED_NODE:
            text = f"Invalid phase change from {before} to {record.phase}"
            raise _ended(f"{text} for node execution {row_id}", record.phase)
        if record.child_execution is not None:
            self._runs.get(event.workflow_node_metadata.execution_id)
        return [record]

    def _parent(self, event: events.NodeExecutionEvent) -> None:
        """Raise unless the node's parent is there."""
        self._runs.node(
            identifier_pb2.NodeExecutionIdentifier(
                execution_id=event.id.execution_id, node_id=event.parent_node_metadata.node_id
            )
        )

    def _check_attempt(self, event: events.TaskExecutionEvent, run: ExecutionRows) -> list[Record]:
        id, phase = attempt_id(event), TASK_PHASES.Name(event.phase)
        self._runs.node(event.parent_node_execution_id)
        try:
            message = self._runs.attempt(id)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            return attempt_records(event, is_known=False)
        task = task_execution_pb2.TaskExecution.FromString(message)
        before = TASK_PHASES.Name(task.closure.phase)
        version = self._phase_version(id)
        # A plugin may report news within a phase, and then with a larger version.
        if before == phase and version >= event.phase_version:
            raise exists(
                f"have already recorded task execution phase {before}"
                f" (version: {event.phase_version}) for {go_text(id)}"
            )
        if before in ENDED_ATTEMPT:
            text = f"invalid phase change from {before} to {phase}"
            raise _ended(f"{text} for task execution {go_text(id)}", phase)
        return attempt_records(event, is_known=True)

    def _phase_version(self, id: identifier_pb2.TaskExecutionIdentifier) -> int:
        run = id.node_execution_id.execution_id
        row = self._parts.database.one(
            "SELECT phase_version FROM task_executions WHERE execution_project = ? AND"
            " execution_domain = ? AND execution_name = ? AND node_id = ? AND retry_attempt = ?"
            " AND name = ? AND version = ?",
            (
                *(run.project, run.domain, run.name, id.node_execution_id.node_id),
                *(id.retry_attempt, id.task_id.name, id.task_id.version),
            ),
        )
        return int(row[0]) if row else 0

    def _offload(
        self, event: Event, id: identifier_pb2.WorkflowExecutionIdentifier, place: str
    ) -> None:
        """Store outputs that came inside an event, and put their URI in their place."""
        if not event.HasField("output_data"):
            return
        blob = event.output_data.SerializeToString(deterministic=True)
        if len(blob) > _MAX_OUTPUT_BYTES:
            raise Refused(
                "RESOURCE_EXHAUSTED",
                "Output data size exceeds platform configured threshold"
                f" ({len(blob)} > {_MAX_OUTPUT_BYTES})",
            )
        root = self._parts.storage_root.rstrip("/")
        uri = f"{root}/metadata/{id.project}/{id.domain}/{id.name}/{place}"
        self._parts.blobs.write(uri, blob)
        event.output_uri = uri


def _check_node_id(is_set: bool, id: identifier_pb2.NodeExecutionIdentifier) -> None:
    """Raise unless the event is there and names a node of an execution.

    FlyteAdmin only logs such a fault of a node's event, and then does not find the execution.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if not is_set:
        raise missing("event")
    if not id.HasField("execution_id"):
        raise missing("execution_id")
    check_fields(id, "node_id")
    check_fields(id.execution_id, "project", "domain", "name")


def _ended(text: str, phase: str) -> Refused:
    detail = event_pb2.EventFailureReason()
    detail.already_in_terminal_state.current_phase = phase
    return precondition(text, detail)
