"""What happened, as small values: the only thing the engine writes down, and all it needs to go on.

A record says one change of one execution. Records in the order in which they were recorded rebuild
the machine (`machine.Machine.apply`), and a recorder turns them into flyteidl's events or rows. Phases
are flyteidl's names (flyteidl/core/execution.proto); times are microseconds since 1970-01-01T00:00Z.
"""

from typing import Any, NamedTuple

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import TASK_NODE

# `cache_status`, as flyteidl/core/catalog.proto names it; empty for nodes that run no task.
CACHE_DISABLED = "CACHE_DISABLED"
CACHE_HIT = "CACHE_HIT"
CACHE_MISS = "CACHE_MISS"
CACHE_POPULATED = "CACHE_POPULATED"
CACHE_PUT_FAILURE = "CACHE_PUT_FAILURE"
CACHE_LOOKUP_FAILURE = "CACHE_LOOKUP_FAILURE"
CACHE_SKIPPED = "CACHE_SKIPPED"


class WorkflowRecord(NamedTuple):
    """The execution came into a phase (flyteidl `WorkflowExecutionEvent`).

    RUNNING → SUCCEEDING → SUCCEEDED, or FAILING → FAILED, or ABORTING → ABORTED. `error` comes with
    FAILING, FAILED, ABORTING and ABORTED; in the last two its message is the cause that was given.
    """

    at_us: int
    phase: str
    error: "ErrorInfo | None" = None
    output_uri: str = ""
    """`outputs.pb` of the execution; with SUCCEEDED."""


class NodeRecord(NamedTuple):
    """A node came into a phase (flyteidl `NodeExecutionEvent`)."""

    at_us: int
    node_id: str
    """Unique in the execution: `n0`, and `n1-0-n0` for node `n0` of the sub-workflow in `n1`."""
    spec_node_id: str
    """Its id in the workflow's template."""
    phase: str
    name: str = ""
    """`Node.metadata.name`; the id in the template when the author gave none."""
    kind: str = TASK_NODE
    parent_id: str = ""
    """`node_id` of the node whose sub-workflow (or branch) this one belongs to; empty at the top."""
    input_uri: str = ""
    """`inputs.pb`; from QUEUED on. Empty for the start node."""
    output_uri: str = ""
    """`outputs.pb`; with SUCCEEDED."""
    error: "ErrorInfo | None" = None
    cache_status: str = ""
    is_parent: bool = False
    """Whether nodes with this `parent_id` exist or will."""
    child_execution: "ExecutionId | None" = None
    branch: int = -1
    """Which arm a branch node took, counted from 0 (the last one is `else`); -1 for all others."""


class AttemptRecord(NamedTuple):
    """An attempt at a task came into a phase (flyteidl `TaskExecutionEvent`).

    QUEUED → RUNNING → SUCCEEDED | FAILED | ABORTED. QUEUED is recorded before anything is started;
    RUNNING when it was, with its logs. A failed attempt that will be retried is FAILED as well.
    """

    at_us: int
    node_id: str
    attempt: int
    """Counted from 0, over user's and system's failures."""
    phase: str
    task_id: Identifier
    phase_version: int = 0
    input_uri: str = ""
    output_uri: str = ""
    """The folder it writes to while it runs (`…/data/<attempt>`); `outputs.pb` with SUCCEEDED."""
    error: "ErrorInfo | None" = None
    logs: "tuple[tuple[str, str], ...]" = ()
    """`(name, uri)`."""
    reason: str = ""
    cpu_s: "float | None" = None
    """Processor seconds, user's and system's, of the attempt's processes; with the terminal phase."""
    max_rss_bytes: "int | None" = None
    pid: "int | None" = None
    task_type: str = ""
    cache_status: str = ""
    """What the node's will be; with SUCCEEDED."""


Record = WorkflowRecord | NodeRecord | AttemptRecord


def to_plain(record: Record) -> list[Any]:
    """The record as JSON data, `[tag, fields…]`. Inverse of `from_plain`."""
    if isinstance(record, WorkflowRecord):
        return ["workflow", *_plain_fields(record)]
    if isinstance(record, NodeRecord):
        return ["node", *_plain_fields(record)]
    return ["attempt", *_plain_fields(record)]


def from_plain(plain: list[Any]) -> Record:
    """The record that `to_plain` wrote.

    A document with fewer fields than this release knows (an older one's) gets their defaults.

    Raises:
        ValueError: when it is no record.
    """
    tag, *fields = plain
    if tag == "workflow":
        workflow = WorkflowRecord(*fields)
        return workflow._replace(error=_error(workflow.error))
    if tag == "node":
        node = NodeRecord(*fields)
        child = ExecutionId(*node.child_execution) if node.child_execution else None
        return node._replace(error=_error(node.error), child_execution=child)
    if tag == "attempt":
        attempt = AttemptRecord(*fields)
        return attempt._replace(
            error=_error(attempt.error),
            task_id=Identifier(*attempt.task_id),
            logs=tuple((name, uri) for name, uri in attempt.logs),
        )
    raise ValueError(f"There is no record of kind {tag!r}.")


def _plain_fields(record: Record) -> list[Any]:
    return [_listed(field) if isinstance(field, tuple) else field for field in record]


def _listed(value: tuple[Any, ...]) -> list[Any]:
    return [_listed(item) if isinstance(item, tuple) else item for item in value]


def _error(fields: "list[Any] | tuple[Any, ...] | None") -> "ErrorInfo | None":
    return ErrorInfo(*fields) if fields else None
