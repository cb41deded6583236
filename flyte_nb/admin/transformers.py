"""Apply the engine's records to flyteidl's messages: each function changes a message by one record.

Pure: no clock, no database. One function a noun, each the counterpart of FlyteAdmin's transformer
(flyteadmin/pkg/repositories/transformers at v1.16.8).
"""

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import catalog_pb2, identifier_pb2

from flyte_nb.admin import moments
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import ARRAY_NODE
from flyte_nb.api.phases import (
    ABORTED,
    ABORTING,
    ENDED_ATTEMPT,
    ENDED_EXECUTION,
    ENDED_NODE,
    RUNNING,
    SUCCEEDED,
)
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.wire import enums
from flyte_nb.wire.errors import execution_error_to_idl
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl

EXECUTION_PHASES = enums.EXECUTION_PHASES


def apply_workflow(execution: execution_pb2.Execution, record: WorkflowRecord) -> None:
    """Bring an execution into the phase of the record.

    An execution that is to be aborted stays ABORTING until it has ended. The engine may not know of
    the request yet and may still record other phases.
    """
    closure = execution.closure
    phase = EXECUTION_PHASES.Value(record.phase)
    is_ended = record.phase in ENDED_EXECUTION
    if record.phase == RUNNING and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(moments.stamp(record.at_us))
    if closure.phase == EXECUTION_PHASES.Value(ABORTING) and not is_ended:
        phase = closure.phase
    closure.phase = phase
    closure.updated_at.CopyFrom(moments.stamp(record.at_us))
    if is_ended and closure.HasField("started_at"):
        closure.duration.CopyFrom(moments.span(record.at_us - moments.stamp_us(closure.started_at)))
    if record.output_uri:
        closure.outputs.uri = record.output_uri
    elif record.phase in (ABORTING, ABORTED):
        # Whoever asked to abort is recorded already, with a cause; that stays.
        if not closure.HasField("abort_metadata"):
            closure.abort_metadata.cause = record.error.message if record.error else ""
    elif record.error is not None:
        closure.error.CopyFrom(execution_error_to_idl(record.error))


def apply_node(
    node: node_execution_pb2.NodeExecution, execution: ExecutionId, record: NodeRecord
) -> None:
    """Bring a node into the phase of the record. An empty `node` gets its id and creation time."""
    closure = node.closure
    if not node.HasField("id"):
        node.id.node_id = record.node_id
        node.id.execution_id.CopyFrom(execution_id_to_idl(execution))
        closure.created_at.CopyFrom(moments.stamp(record.at_us))
    node.metadata.spec_node_id = record.spec_node_id
    node.metadata.is_parent_node = node.metadata.is_parent_node or record.is_parent
    node.metadata.is_array = record.kind == ARRAY_NODE
    # Clients group the nodes inside of a node by the attempt that they belong to.
    if record.parent_id:
        node.metadata.retry_group = str(record.parent_attempt)
    # Both are kept in later phases, as in FlyteAdmin.
    node.metadata.is_dynamic = node.metadata.is_dynamic or record.job_uri != ""
    if record.workflow_uri and record.job_uri:
        closure.dynamic_job_spec_uri = record.job_uri
    if record.input_uri:
        node.input_uri = record.input_uri
    closure.phase = enums.NODE_PHASES.Value(record.phase)
    closure.updated_at.CopyFrom(moments.stamp(record.at_us))
    is_ended = record.phase in ENDED_NODE
    if record.phase == RUNNING and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(moments.stamp(record.at_us))
    if is_ended and closure.HasField("started_at"):
        closure.duration.CopyFrom(moments.span(record.at_us - moments.stamp_us(closure.started_at)))
    if record.phase == RUNNING or is_ended:
        # Also when it is empty: a task that says it makes a deck may end without one.
        closure.deck_uri = record.deck_uri
    if record.output_uri:
        closure.output_uri = record.output_uri
    elif record.error is not None:
        closure.error.CopyFrom(execution_error_to_idl(record.error))
    if record.child_execution is not None:
        closure.workflow_node_metadata.executionId.CopyFrom(
            execution_id_to_idl(record.child_execution)
        )
    if record.cache_status:
        closure.task_node_metadata.cache_status = enums.CACHE_STATUSES.Value(record.cache_status)
    if record.cache_key:
        closure.task_node_metadata.catalog_key.MergeFrom(catalog_key(record.cache_key))
    if record.checkpoint_uri:
        closure.task_node_metadata.checkpoint_uri = record.checkpoint_uri


def catalog_key(key: str) -> catalog_pb2.CatalogMetadata:
    """Return the dataset and the tag that a catalog key consists of (see `propeller.cache.key`)."""
    dataset, _, tag = key.rpartition("/")
    project, domain, rest = dataset.split("/", 2)
    name, _, version = rest.partition("/")
    metadata = catalog_pb2.CatalogMetadata()
    dataset_id = metadata.dataset_id
    dataset_id.resource_type = identifier_pb2.DATASET
    dataset_id.project, dataset_id.domain = project, domain
    dataset_id.name, dataset_id.version = name, version
    metadata.artifact_tag.name = tag
    return metadata


def apply_attempt(
    task: task_execution_pb2.TaskExecution, execution: ExecutionId, record: AttemptRecord
) -> None:
    """Bring an attempt into the phase of the record. An empty `task` gets its id and creation time.

    `custom_info` holds what flyteidl has no field for: `cpu_s`, `max_rss_bytes`, `pid`.
    """
    closure = task.closure
    if not task.HasField("id"):
        task.id.CopyFrom(task_execution_id(execution, record))
        closure.created_at.CopyFrom(moments.stamp(record.at_us))
        closure.event_version = 1
    if record.task_type:
        closure.task_type = record.task_type
    if record.input_uri:
        task.input_uri = record.input_uri
    closure.phase = enums.TASK_PHASES.Value(record.phase)
    closure.updated_at.CopyFrom(moments.stamp(record.at_us))
    if record.phase == RUNNING and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(moments.stamp(record.at_us))
    if record.phase in ENDED_ATTEMPT and closure.HasField("started_at"):
        closure.duration.CopyFrom(moments.span(record.at_us - moments.stamp_us(closure.started_at)))
    if record.phase == SUCCEEDED:
        closure.output_uri = record.output_uri
    elif record.error is not None:
        closure.error.CopyFrom(execution_error_to_idl(record.error))
    # The same log comes with several records of an attempt.
    known = {log.name for log in closure.logs}
    for name, uri in record.logs:
        if name not in known:
            closure.logs.add(name=name, uri=uri)
    if record.reason:
        closure.reason = record.reason
        # `reason` is the last one. `reasons` keeps all of them with their times.
        closure.reasons.add(occurred_at=moments.stamp(record.at_us), message=record.reason)
    for key in ("cpu_s", "max_rss_bytes", "pid"):
        value = getattr(record, key)
        # Zero is a value: an attempt may use no measurable processor time.
        if value is not None:
            closure.custom_info.update({key: value})


def task_execution_id(
    execution: ExecutionId, record: AttemptRecord
) -> identifier_pb2.TaskExecutionIdentifier:
    """Return the attempt's id as flyteidl's message."""
    return identifier_pb2.TaskExecutionIdentifier(
        task_id=identifier_to_idl(record.task_id),
        node_execution_id=identifier_pb2.NodeExecutionIdentifier(
            node_id=record.node_id, execution_id=execution_id_to_idl(execution)
        ),
        retry_attempt=record.attempt,
    )
