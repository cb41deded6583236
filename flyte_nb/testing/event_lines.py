"""Events as lines of text that people can read, write and compare.

RUNNING                                             the execution
n0 QUEUED                                           a node
n1-0-n0 QUEUED in n1                                a node inside another one; said once
n0 SUCCEEDED CACHE_HIT                              with what the catalog said
n0[1] FAILED: USER USER:ValueError: no              attempt 1 at a node, with kind, code and text
FAILING: USER USER:ValueError: no                   the execution, with its error
"""

from collections.abc import Iterable, Sequence

from flyteidl.event import event_pb2

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.events import Event, events_of
from flyte_nb.propeller.records import Record
from flyte_nb.wire.enums import (
    CACHE_STATUSES,
    ERROR_KINDS,
    EXECUTION_PHASES,
    NODE_PHASES,
    TASK_PHASES,
)


def lines_of(execution: ExecutionId, records: Iterable[Record]) -> list[str]:
    """Return the line of each event that the records give."""
    return event_lines(events_of(execution, records))


def event_lines(events: "Iterable[Event]") -> list[str]:
    """Return one line for each event."""
    seen: set[str] = set()
    return [_line(event, seen) for event in events]


def subject(line: str) -> str:
    """Return what the line is about: a node's id, an attempt, or an empty text for the execution."""
    first = line.partition(":")[0].split(" ")
    return first[0] if len(first) > 1 else ""


def by_subject(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of the execution, of each node and of each attempt, apart.

    Nodes that do not depend on each other may run in any order, so only the order within one of them,
    and the order that the workflow itself gives, is the same in every run.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(subject(line), []).append(line)
    return found


def _line(event: Event, seen: set[str]) -> str:
    if isinstance(event, event_pb2.WorkflowExecutionEvent):
        return EXECUTION_PHASES.Name(event.phase) + _error(event)
    if isinstance(event, event_pb2.NodeExecutionEvent):
        return _node_line(event, seen)
    key = f"{event.parent_node_execution_id.node_id}[{event.retry_attempt}]"
    return f"{key} {TASK_PHASES.Name(event.phase)}{_error(event)}"


def _node_line(event: event_pb2.NodeExecutionEvent, seen: set[str]) -> str:
    node_id = event.id.node_id
    words = [node_id, NODE_PHASES.Name(event.phase)]
    if event.HasField("task_node_metadata") and event.task_node_metadata.cache_status:
        words.append(CACHE_STATUSES.Name(event.task_node_metadata.cache_status))
    if event.HasField("workflow_node_metadata"):
        words += ["runs", event.workflow_node_metadata.execution_id.name]
    if event.HasField("parent_node_metadata") and node_id not in seen:
        words += ["in", event.parent_node_metadata.node_id]
    seen.add(node_id)
    return " ".join(words) + _error(event)


def _error(event: Event) -> str:
    if not event.HasField("error"):
        return ""
    error = event.error
    return f": {ERROR_KINDS.Name(error.kind)} {error.code}: {error.message}"
