"""Which phase may follow on which: `MOVES[before]` is the set of phases that may come next.

The phase `""` is the one before the first record. `moves.Moves.apply` refuses every step that is not
here. The state diagrams in `docs/propeller.md` are made from these tables by `mermaid`, and a test
holds them equal.
"""

from collections.abc import Mapping

from flyte_nb.api.nodes import (
    ARRAY_NODE,
    BRANCH_NODE,
    END_KIND,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    START_KIND,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.api.phases import (
    ABORTED,
    ABORTING,
    DYNAMIC_RUNNING,
    FAILED,
    FAILING,
    QUEUED,
    RECOVERED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    SUCCEEDING,
    TIMED_OUT,
)

MoveTable = Mapping[str, frozenset[str]]

_END: frozenset[str] = frozenset()
"""No phase follows."""

WORKFLOW_MOVES: MoveTable = {
    "": frozenset({RUNNING, FAILING, ABORTING}),
    RUNNING: frozenset({SUCCEEDING, FAILING, ABORTING}),
    SUCCEEDING: frozenset({SUCCEEDED}),
    FAILING: frozenset({FAILED, ABORTING}),
    ABORTING: frozenset({ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    ABORTED: _END,
}

_TASK: MoveTable = {
    # A task succeeds without being queued when its result comes from the catalog. A node whose inputs
    # cannot be resolved fails before it is queued. It is RUNNING at once when it is recovered with the
    # nodes that its dynamic task made before.
    "": frozenset({QUEUED, RUNNING, SKIPPED, SUCCEEDED, FAILED}),
    # A queued task that waited for another one's result (`cache_serialize`) finds it in the catalog.
    QUEUED: frozenset({RUNNING, SUCCEEDED, FAILED, ABORTED}),
    RUNNING: frozenset({DYNAMIC_RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED}),
    # A dynamic task's attempt has ended, and the nodes that it made run.
    DYNAMIC_RUNNING: frozenset({SUCCEEDED, FAILING, ABORTED}),
    # It is RUNNING again when another attempt follows.
    FAILING: frozenset({RUNNING, FAILED, TIMED_OUT, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    TIMED_OUT: _END,
    ABORTED: _END,
    SKIPPED: _END,
}

# A gate whose signal has a value when it is reached opens at once, so it succeeds without running.
_GATE: MoveTable = {
    "": frozenset({QUEUED, SKIPPED, SUCCEEDED, FAILED}),
    QUEUED: _TASK[QUEUED],
    RUNNING: frozenset({SUCCEEDED, FAILED, TIMED_OUT, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    TIMED_OUT: _END,
    ABORTED: _END,
    SKIPPED: _END,
}

# A node that runs other nodes fails in two steps: FAILING while it ends what still runs in it, then
# FAILED. A task that made no nodes has no FAILING, because its attempt has ended by the time it fails.
_PARENT: MoveTable = {
    "": frozenset({QUEUED, SKIPPED, FAILED}),
    QUEUED: frozenset({RUNNING, FAILED, ABORTED}),
    RUNNING: frozenset({SUCCEEDED, FAILING, ABORTED}),
    FAILING: frozenset({FAILED, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    ABORTED: _END,
    SKIPPED: _END,
}

# A node that launches an execution. RUNNING → RUNNING is a further execution, after one that took too long.
_LAUNCH: MoveTable = {
    "": frozenset({QUEUED, SKIPPED, FAILED}),
    QUEUED: frozenset({RUNNING, FAILED, ABORTED}),
    RUNNING: frozenset({RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED}),
    SUCCEEDED: _END,
    FAILED: _END,
    TIMED_OUT: _END,
    ABORTED: _END,
    SKIPPED: _END,
}
# A map fails in two steps too, unless nothing of it runs when it fails.
_ARRAY: MoveTable = {**_PARENT, RUNNING: frozenset({SUCCEEDED, FAILING, FAILED, ABORTED})}


def _recoverable(moves: MoveTable) -> MoveTable:
    """Return the moves of a node that may also take over the outputs of the execution that is recovered."""
    return {**moves, "": moves[""] | {RECOVERED}, RECOVERED: _END}


# The start node only carries the run's inputs. The end node only collects outputs: it never runs.
NODE_MOVES: Mapping[str, MoveTable] = {
    START_KIND: {"": frozenset({SUCCEEDED}), SUCCEEDED: _END},
    END_KIND: _recoverable(
        {
            "": frozenset({QUEUED, SKIPPED, FAILED}),
            QUEUED: frozenset({SUCCEEDED, FAILED, ABORTED}),
            SUCCEEDED: _END,
            FAILED: _END,
            ABORTED: _END,
            SKIPPED: _END,
        }
    ),
    TASK_NODE: _recoverable(_TASK),
    WORKFLOW_NODE: _recoverable(_PARENT),
    LAUNCH_PLAN_NODE: _recoverable(_LAUNCH),
    BRANCH_NODE: _recoverable(_PARENT),
    GATE_NODE: _recoverable(_GATE),
    ARRAY_NODE: _recoverable(_ARRAY),
}
"""The moves of a node by its kind (`api/nodes.py`)."""

# QUEUED is recorded before a process is started. An executor that calls the task in place has no such
# moment, and begins with RUNNING, which saves one record an attempt.
ATTEMPT_MOVES: MoveTable = {
    "": frozenset({QUEUED, RUNNING}),
    QUEUED: frozenset({RUNNING, SUCCEEDED, FAILED, ABORTED}),
    RUNNING: frozenset({SUCCEEDED, FAILED, ABORTED}),
    # A retry goes on from FAILED: the table is about a node's attempts, one after the other. It goes on
    # from SUCCEEDED when the nodes that a dynamic task's attempt made were out of time.
    SUCCEEDED: frozenset({QUEUED, RUNNING}),
    FAILED: frozenset({QUEUED, RUNNING}),
    # An attempt that ran out of time was ended by the engine, so it is ABORTED, and another may follow.
    ABORTED: frozenset({QUEUED, RUNNING}),
}

# An element of a map is a node without records of its own: the records are of its attempts. SUCCEEDED at once
# is a cached result.
# RUNNING → RUNNING is a further execution of a launch plan, after one that took too long.
ELEMENT_MOVES: MoveTable = {
    **ATTEMPT_MOVES,
    "": frozenset({QUEUED, RUNNING, SUCCEEDED}),
    RUNNING: ATTEMPT_MOVES[RUNNING] | {RUNNING},
}


def mermaid(moves: MoveTable) -> str:
    """Return the table as a Mermaid state diagram; phases are sorted, so equal tables give equal text."""
    lines = ["stateDiagram-v2"]
    for before, after in moves.items():
        lines += [f"    {before or '[*]'} --> {phase}" for phase in sorted(after)]
        if not after:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)
