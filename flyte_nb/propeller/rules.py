"""Rules that several modules of the machine ask: what is refused, and how often a failure is retried."""

from flyte_nb.api.errors import SYSTEM, ErrorInfo, FlyteNbError
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


def has_arm(plan: NodePlan, number: int) -> bool:
    """Return whether a node that begins may take this arm; -1 is the only one of a node without arms."""
    if plan.branch is None:
        return number == -1
    return 0 <= number < len(plan.branch.arms)


def failure_node(handler: WorkflowRun) -> NodeState:
    """Return the node of a failing run's `handler`, its only one."""
    return next(iter(handler.nodes.values()))
