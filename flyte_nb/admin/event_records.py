"""Turn the events that an engine elsewhere sends into the records that change rows. Pure.

It is the inverse of `propeller/events.py`, so rows are the same whoever runs an execution.
"""

from collections.abc import Iterator

from flyteidl.core import execution_pb2, identifier_pb2
from flyteidl.event import event_pb2

from flyte_nb.admin import moments
from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import TASK, ExecutionId
from flyte_nb.api.nodes import ARRAY_NODE, TASK_NODE, WORKFLOW_NODE
from flyte_nb.api.phases import QUEUED, UNDEFINED
from flyte_nb.propeller.map_events import PLUGIN
from flyte_nb.propeller.records import (
    AttemptRecord,
    ElementRecord,
    NodeRecord,
    Record,
    WorkflowRecord,
)
from flyte_nb.wire.enums import CACHE_STATUSES, EXECUTION_PHASES, NODE_PHASES, TASK_PHASES
from flyte_nb.wire.errors import execution_error_from_idl
from flyte_nb.wire.identifiers import identifier_from_idl

Event = (
    event_pb2.WorkflowExecutionEvent | event_pb2.NodeExecutionEvent | event_pb2.TaskExecutionEvent
)


def workflow_record(event: event_pb2.WorkflowExecutionEvent) -> WorkflowRecord:
    """Return the change of an execution that the event states."""
    return WorkflowRecord(
        at_us=moments.stamp_us(event.occurred_at),
        phase=EXECUTION_PHASES.Name(event.phase),
        error=_error(event),
        output_uri=event.output_uri,
    )


def node_record(event: event_pb2.NodeExecutionEvent) -> NodeRecord:
    """Return the change of a node that the event states."""
    child = event.workflow_node_metadata.execution_id
    cache = event.task_node_metadata.cache_status
    return NodeRecord(
        at_us=moments.stamp_us(event.occurred_at),
        node_id=event.id.node_id,
        spec_node_id=event.spec_node_id,
        phase=NODE_PHASES.Name(event.phase),
        name=event.node_name,
        kind=ARRAY_NODE if event.is_array else WORKFLOW_NODE if event.is_parent else TASK_NODE,
        parent_id=event.parent_node_metadata.node_id,
        input_uri=event.input_uri,
        output_uri=event.output_uri,
        error=_error(event),
        cache_status=CACHE_STATUSES.Name(cache) if cache else "",
        is_parent=event.is_parent,
        child_execution=ExecutionId(child.project, child.domain, child.name)
        if event.HasField("workflow_node_metadata")
        else None,
        # The text is the sender's, so it may be no number.
        parent_attempt=int(event.retry_group) if event.retry_group.isdigit() else 0,
        job_uri=event.task_node_metadata.dynamic_workflow.dynamic_job_spec_uri,
    )


def attempt_records(event: event_pb2.TaskExecutionEvent, *, is_known: bool) -> "list[Record]":
    """Return the changes of an attempt, or of the elements of a map, that the event states.

    Args:
        event: The event.
        is_known: Whether there was an event of this attempt before.
    """
    if event.metadata.plugin_identifier == PLUGIN:
        return list(_element_records(event, is_known=is_known))
    return [_attempt_record(event)]


def _element_records(event: event_pb2.TaskExecutionEvent, *, is_known: bool) -> Iterator[Record]:
    """Yield the changes of a map's elements. The end of a map is that of its node."""
    at_us = moments.stamp_us(event.occurred_at)
    node_id = event.parent_node_execution_id.node_id
    resources = event.metadata.external_resources
    if not is_known:
        task_id = identifier_from_idl(event.task_id, TASK)
        yield ElementRecord(at_us, node_id, UNDEFINED, 0, len(resources), task_id=task_id)
    if TASK_PHASES.Name(event.phase) == QUEUED:
        return
    for resource in resources:
        cache = resource.cache_status
        yield ElementRecord(
            at_us,
            node_id,
            TASK_PHASES.Name(resource.phase),
            resource.index,
            attempt=resource.retry_attempt,
            cache_status=CACHE_STATUSES.Name(cache) if cache else "",
            logs=tuple(
                (log.name.removesuffix(f"-{resource.index}"), log.uri) for log in resource.logs
            ),
        )


def _attempt_record(event: event_pb2.TaskExecutionEvent) -> AttemptRecord:
    reasons = [reason.reason for reason in event.reasons] or [event.reason]
    known = event.custom_info.fields
    return AttemptRecord(
        at_us=moments.stamp_us(event.occurred_at),
        node_id=event.parent_node_execution_id.node_id,
        attempt=event.retry_attempt,
        phase=TASK_PHASES.Name(event.phase),
        task_id=identifier_from_idl(event.task_id, TASK),
        phase_version=event.phase_version,
        input_uri=event.input_uri,
        output_uri=event.output_uri,
        error=_error(event),
        logs=tuple((log.name, log.uri) for log in event.logs),
        reason=reasons[-1],
        # Reading a key that a map of messages lacks would add it, so it is looked for first.
        cpu_s=known["cpu_s"].number_value if "cpu_s" in known else None,
        max_rss_bytes=int(known["max_rss_bytes"].number_value)
        if "max_rss_bytes" in known
        else None,
        pid=int(known["pid"].number_value) if "pid" in known else None,
        task_type=event.task_type,
    )


def attempt_id(event: event_pb2.TaskExecutionEvent) -> identifier_pb2.TaskExecutionIdentifier:
    """Return the id of the attempt that the event is about."""
    return identifier_pb2.TaskExecutionIdentifier(
        task_id=event.task_id,
        node_execution_id=event.parent_node_execution_id,
        retry_attempt=event.retry_attempt,
    )


def _error(event: Event) -> "ErrorInfo | None":
    if not event.HasField("error"):
        return None
    error: execution_pb2.ExecutionError = event.error
    return execution_error_from_idl(error)
