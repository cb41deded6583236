"""Which phase may follow on which: `MOVES[from]` is the set of phases to go to; `""` is before the first.

Diagrams are made from these (`mermaid`).
"""

from collections.abc import Mapping

from flyte_nb.api.nodes import BRANCH_NODE, END_KIND, START_KIND, TASK_NODE, WORKFLOW_NODE
from flyte_nb.api.phases import (
    ABORTED,
    ABORTING,
    FAILED,
    FAILING,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    SUCCEEDING,
    TIMED_OUT,
)

Moves = Mapping[str, frozenset[str]]

_END: frozenset[str] = frozenset()

WORKFLOW_MOVES: Moves = {
    "": frozenset({RUNNING, FAILING, ABORTING}),
    RUNNING: frozenset({SUCCEEDING, FAILING, ABORTING}),
    SUCCEEDING: frozenset({SUCCEEDED}),
    FAILING: frozenset({FAILED, ABORTING}),
    ABORTING: frozenset({ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    ABORTED: _END,
}

_TASK: Moves = {
    "": frozenset({QUEUED, SKIPPED}),
    QUEUED: frozenset({RUNNING, SUCCEEDED, FAILED, ABORTED}),  # SUCCEEDED: a result from the cache
    RUNNING: frozenset({SUCCEEDED, FAILED, TIMED_OUT, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    TIMED_OUT: _END,
    ABORTED: _END,
    SKIPPED: _END,
}

_PARENT: Moves = {
    "": frozenset({QUEUED, SKIPPED}),
    QUEUED: frozenset({RUNNING, FAILED, ABORTED}),
    RUNNING: frozenset({SUCCEEDED, FAILING, ABORTED}),
    FAILING: frozenset({FAILED, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    ABORTED: _END,
    SKIPPED: _END,
}

NODE_MOVES: Mapping[str, Moves] = {
    START_KIND: {"": frozenset({SUCCEEDED}), SUCCEEDED: _END},
    END_KIND: {
        "": frozenset({QUEUED}),
        QUEUED: frozenset({SUCCEEDED, FAILED, ABORTED}),
        SUCCEEDED: _END,
        FAILED: _END,
        ABORTED: _END,
    },
    TASK_NODE: _TASK,
    WORKFLOW_NODE: _PARENT,
    BRANCH_NODE: _PARENT,
}
"""By the node's kind."""

# An executor that runs tasks in place has nothing to do between QUEUED and RUNNING: it leaves QUEUED out.
ATTEMPT_MOVES: Moves = {
    "": frozenset({QUEUED, RUNNING}),
    QUEUED: frozenset({RUNNING, SUCCEEDED, FAILED, ABORTED}),
    RUNNING: frozenset({SUCCEEDED, FAILED, ABORTED}),
    SUCCEEDED: _END,
    FAILED: frozenset({QUEUED, RUNNING}),  # the next attempt
    ABORTED: _END,
}


def mermaid(moves: Moves) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for before, after in moves.items():
        lines += [f"    {before or '[*]'} --> {phase}" for phase in sorted(after)]
        if not after:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)
