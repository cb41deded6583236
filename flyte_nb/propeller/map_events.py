"""Turn what happens to the elements of maps into the events that propeller sends for them. Pure.

A map has one task execution. Its events have the elements that changed as `external_resources`; the first
one has all of them, in no phase yet. Each event while the map runs has a higher version than the one before.

Source: flytepropeller/pkg/controller/nodes/array/{handler,event_recorder}.go at v1.16.8.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flyteidl.event import event_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api import phases
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import fixed_length_id
from flyte_nb.propeller.records import ElementRecord, NodeRecord
from flyte_nb.wire.enums import CACHE_STATUSES, TASK_PHASES
from flyte_nb.wire.errors import execution_error_to_idl
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl

PLUGIN = "k8s-array"
TASK_TYPE = "container_array"

_ID_LENGTH = 50


class _Map(NamedTuple):
    task_id: Identifier
    version: int


class MapEvents:
    """The maps of one execution that have elements."""

    def __init__(self, execution: ExecutionId, producer: str) -> None:
        self._execution = execution
        self._producer = producer
        self._maps: dict[str, _Map] = {}

    def elements(self, record: ElementRecord) -> Iterator[event_pb2.TaskExecutionEvent]:
        """Yield the event of elements that changed."""
        begins = record.phase == phases.UNDEFINED
        if begins and record.task_id is not None:
            self._maps[record.node_id] = _Map(record.task_id, 0)
        known = self._maps.get(record.node_id)
        if known is None or not record.number:
            return  # propeller sends nothing for a map without elements before its end
        phase = phases.QUEUED if begins else phases.RUNNING
        if not begins:
            known = known._replace(version=known.version + 1)
            self._maps[record.node_id] = known
        event = self._event(record.node_id, phase, record.at_us, known)
        for number in range(record.first, record.first + record.number):
            resource = event.metadata.external_resources.add(
                external_id=self._external_id(record, number),
                index=number,
                retry_attempt=record.attempt,
                phase=TASK_PHASES.Value(record.phase),
            )
            if record.cache_status:
                resource.cache_status = CACHE_STATUSES.Value(record.cache_status)
            for name, uri in record.logs:
                resource.logs.add(name=f"{name}-{number}", uri=uri)
        yield event

    def end(self, record: NodeRecord) -> Iterator[event_pb2.TaskExecutionEvent]:
        """Yield the last event of a map whose node ends; none when it never had elements."""
        phase = phases.FAILED if record.phase == phases.TIMED_OUT else record.phase
        if phase not in phases.ENDED_ATTEMPT:
            return
        known = self._maps.pop(record.node_id, None)
        if known is None:
            return
        event = self._event(record.node_id, phase, record.at_us, known._replace(version=0))
        if phase == phases.SUCCEEDED:
            event.output_uri = record.output_uri
        elif phase == phases.FAILED and record.error is not None:
            event.error.CopyFrom(execution_error_to_idl(record.error))
        yield event

    def _event(
        self, node_id: str, phase: str, at_us: int, known: _Map
    ) -> event_pb2.TaskExecutionEvent:
        stamp = Timestamp()
        stamp.FromMicroseconds(at_us)
        event = event_pb2.TaskExecutionEvent(
            task_id=identifier_to_idl(known.task_id),
            phase=TASK_PHASES.Value(phase),
            phase_version=known.version,
            producer_id=self._producer,
            occurred_at=stamp,
            reported_at=stamp,
            task_type=TASK_TYPE,
            event_version=1,
        )
        event.parent_node_execution_id.node_id = node_id
        event.parent_node_execution_id.execution_id.CopyFrom(execution_id_to_idl(self._execution))
        event.metadata.plugin_identifier = PLUGIN
        return event

    def _external_id(self, record: ElementRecord, number: int) -> str:
        prefix = fixed_length_id(f"{self._execution.name}-{record.node_id}-0", _ID_LENGTH)
        return f"{prefix}-n{number}-{record.attempt}"
