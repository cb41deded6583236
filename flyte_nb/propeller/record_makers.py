"""Make records of nodes and attempts from the machine's state. Pure.

Everything that a record has beside the news is taken from the plan and the state, in this one place.
"""

from flyte_nb.api import phases
from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import WORKFLOW_NODE
from flyte_nb.propeller.durations import go_duration
from flyte_nb.propeller.records import AttemptRecord, ElementRecord, NodeRecord
from flyte_nb.propeller.rules import IllegalMove, budget
from flyte_nb.propeller.state import NodeState

# Records are what the engine makes most. The constructor with keywords takes 1.8 µs, with positions 0.7
# µs, this 0.3 µs; a task that runs in place gives six records, and the whole of it takes some 100 µs.
# The price is that nobody checks the order of the fields below:
# `test_records_have_every_field_in_its_place` does.
_new = tuple.__new__


def node_record(
    node: NodeState,
    at_us: int,
    phase: str,
    *,
    input_uri: str = "",
    output_uri: str = "",
    error: "ErrorInfo | None" = None,
    cache_status: str = "",
    workflow_uri: str = "",
    checkpoint_uri: str = "",
    cache_key: str = "",
) -> NodeRecord:
    """Return the record of a node that comes into `phase`.

    `input_uri` and `checkpoint_uri` empty mean those that the node has.
    """
    plan, parent = node.plan, node.run.parent
    return _new(
        NodeRecord,
        (
            at_us,
            node.node_id,
            plan.id,
            phase,
            plan.name,
            plan.kind,
            parent.node_id if parent else "",
            input_uri or node.input_uri,
            output_uri,
            error,
            cache_status,
            (node.child is not None and plan.array is None) or plan.kind == WORKFLOW_NODE,
            node.child_execution,
            node.branch,
            node.run.parent_attempt,
            workflow_uri,
            node.job_uri,
            checkpoint_uri or node.checkpoint_uri,
            cache_key,
            node.deck_uri,
        ),
    )


def attempt_record(
    node: NodeState,
    at_us: int,
    phase: str,
    *,
    attempt: "int | None" = None,
    output_uri: str = "",
    error: "ErrorInfo | None" = None,
    logs: tuple[tuple[str, str], ...] = (),
    reason: str = "",
    cpu_s: "float | None" = None,
    max_rss_bytes: "int | None" = None,
    pid: "int | None" = None,
    cache_status: str = "",
    job_uri: str = "",
    checkpoint_uri: str = "",
    deck_uri: str = "",
) -> "AttemptRecord | ElementRecord":
    """Return the record of an attempt that comes into `phase`; `attempt` `None` means the node's last one.

    The attempt at an element of a map gives an `ElementRecord`.

    Raises:
        IllegalMove: when the node runs no task.
    """
    plan = node.plan
    if plan.task_id is None or plan.task is None:
        raise IllegalMove(f"Node {node.node_id} runs no task, so it has no attempts.")
    number = node.attempts - 1 if attempt is None else attempt
    if node.element >= 0 and node.run.parent is not None:
        map_id, end = node.run.parent.node_id, (pid, cpu_s, max_rss_bytes)
        return ElementRecord(
            at_us, map_id, phase, node.element, 1, number, error, cache_status, logs, *end
        )
    return _new(
        AttemptRecord,
        (
            at_us,
            node.node_id,
            number,
            phase,
            plan.task_id,
            0,
            node.input_uri,
            output_uri,
            error,
            logs,
            reason,
            cpu_s,
            max_rss_bytes,
            pid,
            plan.task.type,
            cache_status,
            job_uri,
            checkpoint_uri,
            deck_uri,
        ),
    )


def element_record(
    node: NodeState,
    at_us: int,
    phase: str,
    *,
    error: "ErrorInfo | None" = None,
    attempt: "int | None" = None,
    child: "ExecutionId | None" = None,
) -> ElementRecord:
    """Return the record of an element over a launch plan that comes into `phase`.

    Raises:
        IllegalMove: when the node is no element of a map.
    """
    if node.element < 0 or node.run.parent is None:
        raise IllegalMove(f"Node {node.node_id} is no element of a map.")
    return ElementRecord(
        at_us,
        node.run.parent.node_id,
        phase,
        node.element,
        attempt=node.attempt if attempt is None else attempt,
        error=error,
        child_execution=child,
    )


def end_of_attempts(node: NodeState, error: ErrorInfo, at_us: int) -> NodeRecord:
    """Return the record of a node whose last attempt failed with `error` and that gets no further one.

    The texts are Flyte's own, because clients and dashboards show and parse them.
    """
    if not error.recoverable:
        return node_record(node, at_us, phases.FAILED, error=error)
    current, most = budget(node, error)
    if current < most:
        # Attempts were left and the error could be retried, so it was the time that ran out.
        limit = go_duration(2 * node.plan.timeout_us)
        expired = ErrorInfo("TimeoutExpired", f"task active timeout [{limit}] expired", USER)
        return node_record(node, at_us, phases.TIMED_OUT, error=expired)
    kind = error.origin or USER
    text = f"[{current}/{most}] currentAttempt done. Last Error: {kind}::{error.message}"
    exhausted = ErrorInfo(f"RetriesExhausted|{error.code}", text, USER)
    return node_record(node, at_us, phases.FAILED, error=exhausted)
