"""Events as lines of text that people can read, write and compare.

- `RUNNING`: the execution
- `FAILING: USER USER:ValueError: no`: the execution, with kind, code and text of its error
- `n0 QUEUED`: a node
- `n1-0-n0 QUEUED in n1`: a node inside another one; only its first line says so
- `n0 SUCCEEDED CACHE_HIT`: a node, with what the catalog said
- `n0 RUNNING runs e0-n0-0`: a launch plan node, with the execution that it started
- `n0[1] FAILED: USER USER:ValueError: no`: attempt 1 at a node
- `n0[0].2 QUEUED`, `n0[0].2[1] QUEUED`: element 2 of a map, whose one attempt is n0[0], and the element's own
  attempt 1
"""

from collections.abc import Iterable, Iterator, Sequence

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
    """Return the lines of the events: one for each, but for maps, which have one for each element."""
    seen: set[str] = set()
    return [line.replace("\n", "\\n") for event in events for line in _lines(event, seen)]


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


def _lines(event: Event, seen: set[str]) -> Iterator[str]:
    if isinstance(event, event_pb2.WorkflowExecutionEvent):
        yield EXECUTION_PHASES.Name(event.phase) + _error(event)
    elif isinstance(event, event_pb2.NodeExecutionEvent):
        yield _node_line(event, seen)
    else:
        yield from _attempt_lines(event, seen)


def _attempt_lines(event: event_pb2.TaskExecutionEvent, seen: set[str]) -> Iterator[str]:
    key = f"{event.parent_node_execution_id.node_id}[{event.retry_attempt}]"
    line = f"{key} {TASK_PHASES.Name(event.phase)}{_error(event)}"
    resources = event.metadata.external_resources
    # How many events tell of a map's elements depends on when somebody looks.
    if not resources or line not in seen:
        yield line
    seen.add(line)
    for resource in resources:
        again = f"[{resource.retry_attempt}]" if resource.retry_attempt else ""
        words = [f"{key}.{resource.index}{again}", TASK_PHASES.Name(resource.phase)]
        if resource.cache_status:
            words.append(CACHE_STATUSES.Name(resource.cache_status))
        yield " ".join(words)


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
