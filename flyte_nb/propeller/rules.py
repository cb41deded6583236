"""Rules that several modules of the machine ask: what is refused, and how often a failure is retried."""

from collections.abc import Iterable, Mapping

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, FlyteNbError
from flyte_nb.propeller.plan import NodePlan
from flyte_nb.propeller.state import NodeState, WorkflowRun

SYSTEM_RETRIES = 3
"""How many failures by the system a node survives: propeller's `max-node-retries-system-failures`."""


class IllegalMove(FlyteNbError):
    """A record cannot follow the records before it. The machine has not changed."""


def illegal(what: str, before: str, after: str) -> IllegalMove:
    """Return the refusal of a step that no table has."""
    return IllegalMove(f"Illegal move of {what} from {before or 'no phase'} to {after}.")


def budget(node: NodeState, error: ErrorInfo) -> tuple[int, int]:
    """Return how many attempts failed like `error` so far, and how many may.

    Failures by the user and by the system have a budget each, so that a machine that goes down does not
    use up the author's `retries`. The last failure by the system is already counted in
    `system_failures`, and Flyte counts from the one before.

    Source: flytepropeller/pkg/controller/nodes/executor.go `isEligibleForRetry` at v1.16.8.
    """
    if error.origin == SYSTEM:
        return node.system_failures - 1, SYSTEM_RETRIES
    return node.attempts - node.system_failures, node.plan.max_attempts


def gets_another_attempt(node: NodeState, error: ErrorInfo, at_us: int) -> bool:
    """Return whether a node whose last attempt failed with `error` is tried again.

    The failure must already be counted in `attempts` and `system_failures`.
    """
    current, most = budget(node, error)
    # All attempts together have twice the time of one. An attempt that has not run uses none of it.
    limit_us = node.first_started_us + 2 * node.plan.timeout_us
    in_time = not (node.plan.timeout_us and node.first_started_us) or at_us < limit_us
    return error.recoverable and current < most and in_time


def within(most: int, startable: "Mapping[str, NodeState]", active: int) -> "Iterable[NodeState]":
    """Return the nodes of `startable` that may get an attempt with at most so many active task nodes.

    A task node is active from QUEUED on, so those in `startable` have their place. The exception is a dynamic
    task that is tried again after it made nodes: meanwhile another node took its place.
    """
    if active <= most:
        return startable.values()
    again = [node for node in startable.values() if node.attempt_phase == phases.SUCCEEDED]
    waiting = again[max(0, most - (active - len(again))) :]
    return [node for node in startable.values() if node not in waiting]


def has_arm(plan: NodePlan, number: int) -> bool:
    """Return whether a node that begins may take this arm; -1 is the only one of a node without arms."""
    if plan.branch is None:
        return number == -1
    return 0 <= number < len(plan.branch.arms)


def failure_node(handler: WorkflowRun) -> NodeState:
    """Return the node of a failing run's `handler`, its only one."""
    return next(iter(handler.nodes.values()))


def has_way_on(run: WorkflowRun) -> bool:
    """Return whether a node that did not fail has a node after it that has not begun.

    Propeller walks the graph from the start node, and ends the workflow in the round in which every way
    ends at a failed node. It looks behind a failed node only in a later round, and there is one only when
    some way leads further. So a chain whose last node but one fails skips nothing.
    """
    return any(
        run.nodes[below].phase == ""
        for node in run.nodes.values()
        if node.phase in _PASSED
        for below in node.plan.downstream
    )


def reported_error(run: WorkflowRun) -> "ErrorInfo | None":
    """Return the error of a failed run: when several nodes failed, that of the last on propeller's way.

    Propeller walks the graph from the start node, each node's followers sorted by id, and keeps the last
    failure that it meets. So the answer does not depend on which node failed first.
    """
    failed = [node for node in run.nodes.values() if node.phase in _FAILED]
    if len(failed) < 2:
        return run.failed
    # The last one that a walk meets is the first one of the walk in the opposite order.
    open = sorted(node.plan.id for node in run.nodes.values() if not node.plan.upstream)
    seen: set[str] = set()
    while open:
        node = run.nodes[open.pop()]
        if node.phase in _FAILED:
            return TIMEOUT if node.phase == phases.TIMED_OUT else node.error
        # Propeller does not walk on behind a node that failed.
        if node.phase in _PASSED and node.plan.id not in seen:
            seen.add(node.plan.id)
            open += sorted(node.plan.downstream)
    return run.failed


_PASSED = frozenset({phases.SUCCEEDED, phases.RECOVERED, phases.SKIPPED})
_FAILED = frozenset({phases.FAILED, phases.TIMED_OUT})

TIMEOUT = ErrorInfo("Timeout", "Timeout in node", USER)
"""The error of a run in which a node timed out."""
