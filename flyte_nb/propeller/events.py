"""Turn the engine's records into the events that FlytePropeller sends to FlyteAdmin. Pure.

A record says more than an event. What propeller does not send is left out here: that a person asked to
abort (FlyteAdmin notes that itself), that a sub-workflow is about to fail, the error of what was ended, and
what the catalog said before a node succeeded. So the events of an execution of ours can be compared with
propeller's, and sent to a FlyteAdmin.

Source: flytepropeller/pkg/controller/nodes/{transformers,executor}.go, nodes/task/transformer.go and
workflow/executor.go at v1.16.8.
"""

from collections.abc import Callable, Iterable, Iterator

from flyteidl.core import identifier_pb2
from flyteidl.event import event_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api import phases
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import ARRAY_NODE, WORKFLOW_NODE
from flyte_nb.propeller.map_events import MapEvents
from flyte_nb.propeller.records import (
    AttemptRecord,
    ElementRecord,
    NodeRecord,
    Record,
    WorkflowRecord,
)
from flyte_nb.wire.enums import CACHE_STATUSES, EXECUTION_PHASES, NODE_PHASES, TASK_PHASES
from flyte_nb.wire.errors import execution_error_to_idl
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl

Event = (
    event_pb2.WorkflowExecutionEvent | event_pb2.NodeExecutionEvent | event_pb2.TaskExecutionEvent
)

PRODUCER = "propeller"
"""Who sends the events. FlyteAdmin takes events of this producer for every execution."""


Read = Callable[[str], bytes]
"""Reads an object by its URI."""


def events_of(
    execution: ExecutionId, records: Iterable[Record], read: "Read | None" = None
) -> Iterator[Event]:
    """Yield the event of each record, in order, leaving out records that propeller has no event for.

    Args:
        execution: The execution.
        records: Its records.
        read: Reads the workflows that dynamic tasks made, which their nodes' events contain. Without it
            the events leave them out.
    """
    maps = MapEvents(execution, PRODUCER)
    dynamic: set[str] = set()  # dynamic nodes, and all nodes inside them that have been met
    for record in records:
        if isinstance(record, ElementRecord):
            yield from maps.elements(record)
            continue
        if isinstance(record, NodeRecord):
            yield from maps.end(record)
        event = event_of(execution, record, read)
        if isinstance(record, NodeRecord):
            inside = record.parent_id in dynamic
            if inside or record.phase == phases.DYNAMIC_RUNNING:
                dynamic.add(record.node_id)
            if inside and isinstance(event, event_pb2.NodeExecutionEvent):
                event.is_in_dynamic_chain = True
        if event is not None:
            yield event


def event_of(execution: ExecutionId, record: Record, read: "Read | None" = None) -> "Event | None":
    """Return the event that propeller sends for such a change; `None` when it sends none.

    The elements of a map have no events of their own. `events_of` makes those of the whole map.
    """
    if isinstance(record, WorkflowRecord):
        return _of_execution(execution, record) if record.phase != phases.ABORTING else None
    if isinstance(record, NodeRecord):
        return _of_node(execution, record, read) if record.phase != phases.FAILING else None
    if isinstance(record, ElementRecord):
        return None
    return _of_attempt(execution, record)


def _of_execution(
    execution: ExecutionId, record: WorkflowRecord
) -> event_pb2.WorkflowExecutionEvent:
    event = event_pb2.WorkflowExecutionEvent(
        execution_id=execution_id_to_idl(execution),
        producer_id=PRODUCER,
        phase=EXECUTION_PHASES.Value(record.phase),
        occurred_at=_stamp(record.at_us),
    )
    if record.output_uri:
        event.output_uri = record.output_uri
    elif record.error is not None and record.phase != phases.ABORTED:
        event.error.CopyFrom(execution_error_to_idl(record.error))
    return event


def _of_node(
    execution: ExecutionId, record: NodeRecord, read: "Read | None"
) -> event_pb2.NodeExecutionEvent:
    event = event_pb2.NodeExecutionEvent(
        id=_node_id(execution, record.node_id),
        producer_id=PRODUCER,
        phase=NODE_PHASES.Value(record.phase),
        occurred_at=_stamp(record.at_us),
        reported_at=_stamp(record.at_us),
        input_uri=record.input_uri,
        spec_node_id=record.spec_node_id,
        node_name=record.name,
        event_version=1,
        # Propeller's event of a branch node does not say that it has nodes inside.
        is_parent=record.kind == WORKFLOW_NODE,
        is_array=record.kind == ARRAY_NODE,
    )
    if record.parent_id:
        event.parent_node_metadata.node_id = record.parent_id
        event.retry_group = str(record.parent_attempt)
    if record.output_uri:
        event.output_uri = record.output_uri
    elif record.error is not None and record.phase != phases.TIMED_OUT:
        event.error.CopyFrom(execution_error_to_idl(record.error))
    if record.child_execution is not None and record.phase != phases.ABORTED:
        child = execution_id_to_idl(record.child_execution)
        event.workflow_node_metadata.execution_id.CopyFrom(child)
    elif record.cache_status and record.phase == phases.SUCCEEDED:
        event.task_node_metadata.cache_status = CACHE_STATUSES.Value(record.cache_status)
    event.is_dynamic = record.job_uri != ""
    if record.workflow_uri:
        event.is_parent = record.phase == phases.DYNAMIC_RUNNING
        dynamic = event.task_node_metadata.dynamic_workflow
        dynamic.dynamic_job_spec_uri = record.job_uri
        if read is not None:
            dynamic.compiled_workflow.ParseFromString(read(record.workflow_uri))
            dynamic.id.CopyFrom(dynamic.compiled_workflow.primary.template.id)
    return event


def _of_attempt(execution: ExecutionId, record: AttemptRecord) -> event_pb2.TaskExecutionEvent:
    event = event_pb2.TaskExecutionEvent(
        task_id=identifier_to_idl(record.task_id),
        parent_node_execution_id=_node_id(execution, record.node_id),
        retry_attempt=record.attempt,
        phase=TASK_PHASES.Value(record.phase),
        phase_version=record.phase_version,
        producer_id=PRODUCER,
        occurred_at=_stamp(record.at_us),
        reported_at=_stamp(record.at_us),
        input_uri=record.input_uri,
        task_type=record.task_type,
        event_version=1,
    )
    if record.phase == phases.SUCCEEDED and record.output_uri:
        event.output_uri = record.output_uri
    elif record.phase == phases.FAILED and record.error is not None:
        event.error.CopyFrom(execution_error_to_idl(record.error))
    for name, uri in record.logs:
        event.logs.add(name=name, uri=uri)
    if record.reason:
        event.reasons.add(reason=record.reason, occurred_at=_stamp(record.at_us))
    for key in ("cpu_s", "max_rss_bytes", "pid"):
        value = getattr(record, key)
        if value is not None:
            event.custom_info.update({key: value})
    return event


def _node_id(execution: ExecutionId, node_id: str) -> identifier_pb2.NodeExecutionIdentifier:
    return identifier_pb2.NodeExecutionIdentifier(
        node_id=node_id, execution_id=execution_id_to_idl(execution)
    )


def _stamp(at_us: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(at_us)
    return stamp
