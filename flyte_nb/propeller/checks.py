"""Say why a record of a node cannot be: what the table of phases alone would allow. Pure.

The table knows one node. Whether its turn has come depends on the nodes around it, and on its attempts.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.records import NodeRecord
from flyte_nb.propeller.rules import has_arm
from flyte_nb.propeller.state import PASSED, NodeState

_NOT_RUNNING = frozenset({"", phases.SUCCEEDED, phases.FAILED, phases.ABORTED})


def objection(node: NodeState, record: NodeRecord, execution_phase: str) -> str:
    """Return why the node cannot come into the record's phase now; empty when it can."""
    phase = record.phase
    if execution_phase in _NOT_RUNNING:
        return "no execution is running"
    if node.phase == "":
        return _against_beginning(node, record)
    if phase in (phases.RUNNING, phases.DYNAMIC_RUNNING) and node.run.doom:
        return "it has to end"
    inside = node.child is not None and node.child.is_busy
    if inside and (phase == phases.RUNNING or phase in phases.ENDED_NODE):
        return "nodes inside it have not ended"
    if node.plan.kind == nodes.TASK_NODE:
        return _against_task(node, phase)
    if phase == phases.RUNNING and not has_arm(node.plan, record.branch):
        return f"it has no arm {record.branch}"
    if (
        phase == phases.RUNNING
        and node.plan.kind == nodes.LAUNCH_PLAN_NODE
        and record.child_execution is None
    ):
        return "the record names no execution"
    return ""


def _against_beginning(node: NodeState, record: NodeRecord) -> str:
    phase = record.phase
    if phase == phases.RUNNING and not record.job_uri:
        return "it was not queued"
    if node.waiting:
        return "nodes before it have not ended"
    if node.run.doom or node.tainted != (phase == phases.SKIPPED):
        # A node is skipped if and only if a node before it failed or was skipped.
        return "its run has to end, or the nodes before it decide otherwise"
    return ""


def _against_task(node: NodeState, phase: str) -> str:
    """Return why a task cannot come into `phase`, because of its attempt or of the nodes that it made."""
    if node.phase == phases.RUNNING:
        made = node.job_uri != ""  # a further attempt begins without
        if node.is_live:
            fits = False
        elif phase == phases.DYNAMIC_RUNNING:
            fits = made
        else:
            fits = (phase == phases.SUCCEEDED) == (
                node.attempt_phase == phases.SUCCEEDED and not made
            )
        return "" if fits else f"its attempt is {node.attempt_phase or 'not begun'}"
    if node.phase == phases.DYNAMIC_RUNNING and phase == phases.SUCCEEDED:
        end = node.child.nodes.get(END_NODE) if node.child else None
        return "" if end and end.phase in PASSED else "the nodes that it made have no outputs"
    if phase == phases.RUNNING and node.phase == phases.FAILING:
        again = node.error is not None and node.error.recoverable
        return "" if again else "its error is not one to try again after"
    return ""
