"""Records say what happened, as small values. The engine keeps nothing else, and needs nothing else to go on.

A record is one change of one execution. The records of an execution, applied in their order, rebuild
its machine (`moves.Moves.apply`). A recorder keeps them, and may bring rows and
flyteidl's messages into the same state.

Phases have flyteidl's names (flyteidl/core/execution.proto). Times are microseconds since 1970-01-01T00:00Z.
"""

from typing import Any, NamedTuple

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import TASK_NODE

# Values of `cache_status`, as flyteidl/core/catalog.proto names them. Nodes that run no task have the
# empty one.
CACHE_DISABLED = "CACHE_DISABLED"
CACHE_HIT = "CACHE_HIT"
CACHE_MISS = "CACHE_MISS"
CACHE_POPULATED = "CACHE_POPULATED"
CACHE_PUT_FAILURE = "CACHE_PUT_FAILURE"
CACHE_LOOKUP_FAILURE = "CACHE_LOOKUP_FAILURE"
CACHE_SKIPPED = "CACHE_SKIPPED"


class WorkflowRecord(NamedTuple):
    """The execution came into a phase (flyteidl `WorkflowExecutionEvent`).

    RUNNING → SUCCEEDING → SUCCEEDED, or FAILING → FAILED, or ABORTING → ABORTED. FAILING, FAILED,
    ABORTING and ABORTED have an `error`; for the last two its message is the cause that the person gave.
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
    """`node_id` of the sub-workflow or branch node that this node is inside of; empty at the top."""
    input_uri: str = ""
    """URI of `inputs.pb`, from QUEUED on. Empty for the start node."""
    output_uri: str = ""
    """URI of `outputs.pb`, with SUCCEEDED."""
    error: "ErrorInfo | None" = None
    cache_status: str = ""
    is_parent: bool = False
    """Whether there are, or will be, nodes that have this one as `parent_id`."""
    child_execution: "ExecutionId | None" = None
    branch: int = -1
    """Which arm a branch node took, counted from 0 (the last one may be `else`); -1 for other nodes."""
    parent_attempt: int = 0
    """The attempt at the parent that made this node (flyteidl's `retry_group`); 0 at the top."""
    workflow_uri: str = ""
    """URI of the compiled workflow that a dynamic task made, with DYNAMIC_RUNNING. With RECOVERED, that of
    the node that was taken over."""
    job_uri: str = ""
    """URI of the `futures.pb` that it is compiled from, as soon as there is one."""
    checkpoint_uri: str = ""
    """Where the last attempt keeps its checkpoint. With QUEUED, the one that the first attempt continues
    from: that of the execution which is recovered."""
    cache_key: str = ""
    """The catalog key of a cached task's result (see `cache.key`), when it was looked for."""
    deck_uri: str = ""
    """URI of the task's deck: from RUNNING on when the task says that it makes one; at the end, if it did."""


class AttemptRecord(NamedTuple):
    """An attempt at a task came into a phase (flyteidl `TaskExecutionEvent`).

    QUEUED → RUNNING → SUCCEEDED | FAILED | ABORTED. QUEUED is recorded before a process is started, and
    RUNNING afterwards, with its logs. An attempt that failed is FAILED, also when another attempt follows.
    """

    at_us: int
    node_id: str
    attempt: int
    """The number of the attempt, counted from 0 over failures of both kinds."""
    phase: str
    task_id: Identifier
    phase_version: int = 0
    input_uri: str = ""
    output_uri: str = ""
    """While it runs, the folder that it writes to (`…/data/<attempt>`); with SUCCEEDED, `outputs.pb`."""
    error: "ErrorInfo | None" = None
    logs: "tuple[tuple[str, str], ...]" = ()
    """`(name, uri)`."""
    reason: str = ""
    cpu_s: "float | None" = None
    """CPU seconds of the attempt's processes, user and system, with the last phase."""
    max_rss_bytes: "int | None" = None
    pid: "int | None" = None
    task_type: str = ""
    cache_status: str = ""
    """The `cache_status` that the node will have, with SUCCEEDED."""
    job_uri: str = ""
    """With SUCCEEDED: URI of the `futures.pb` that the attempt wrote. Its node goes on with those nodes."""
    checkpoint_uri: str = ""
    """Where the attempt keeps its checkpoint; with the attempt's first record."""
    deck_uri: str = ""
    """The `deck_uri` that the node has with this attempt."""


class ElementRecord(NamedTuple):
    """Elements of an array node (`map_task`) came into a phase: one, or several that follow each other.

    The first record of a map has the phase UNDEFINED and says how many elements there are. Then each
    element has attempts, as a node that runs a task has: QUEUED → RUNNING → SUCCEEDED | FAILED | ABORTED. A
    cached result is SUCCEEDED at once. Clients see all elements of a map as one flyteidl `TaskExecution`.
    """

    at_us: int
    node_id: str
    """The array node's."""
    phase: str
    first: int
    """The first element, counted from 0."""
    number: int = 1
    """How many elements; one that FAILED has a record of its own."""
    attempt: int = 0
    error: "ErrorInfo | None" = None
    cache_status: str = ""
    logs: "tuple[tuple[str, str], ...]" = ()
    pid: "int | None" = None
    cpu_s: "float | None" = None
    max_rss_bytes: "int | None" = None
    task_id: "Identifier | None" = None
    """The task, or the launch plan, that the elements run; with UNDEFINED only."""
    child_execution: "ExecutionId | None" = None
    """The execution that an element over a launch plan started; with RUNNING."""


Record = WorkflowRecord | NodeRecord | AttemptRecord | ElementRecord


def to_plain(record: Record) -> list[Any]:
    """Return the record as JSON data, `[tag, fields…]`. Inverse of `from_plain`."""
    if isinstance(record, WorkflowRecord):
        return ["workflow", *_plain_fields(record)]
    if isinstance(record, NodeRecord):
        return ["node", *_plain_fields(record)]
    if isinstance(record, ElementRecord):
        return ["element", *_short(_plain_fields(record))]
    return ["attempt", *_plain_fields(record)]


def from_plain(plain: list[Any]) -> Record:
    """Return the record that `to_plain` wrote.

    Fields are only ever added at the end and with a default. So an older release's document, which has fewer
    fields, is read with the defaults of the others.

    Raises:
        ValueError: when the document is not a record.
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
    if tag == "element":
        element = ElementRecord(*fields)
        return element._replace(
            error=_error(element.error),
            logs=tuple((name, uri) for name, uri in element.logs),
            task_id=Identifier(*element.task_id) if element.task_id else None,
            child_execution=ExecutionId(*element.child_execution)
            if element.child_execution
            else None,
        )
    raise ValueError(f"There is no record of kind {tag!r}.")


def _short(fields: list[Any]) -> list[Any]:
    """Leave out the last fields that have their defaults: a large map has tens of thousands of records."""
    while fields and not fields[-1] and fields[-1] != 0:
        fields.pop()
    return fields


def _plain_fields(record: Record) -> list[Any]:
    return [_listed(field) if isinstance(field, tuple) else field for field in record]


def _listed(value: tuple[Any, ...]) -> list[Any]:
    return [_listed(item) if isinstance(item, tuple) else item for item in value]


def _error(fields: "list[Any] | tuple[Any, ...] | None") -> "ErrorInfo | None":
    return ErrorInfo(*fields) if fields else None
