"""What must hold for the records of every execution, whatever happened to it."""

from collections.abc import Sequence

from flyte_nb.api import phases
from flyte_nb.api.nodes import LAUNCH_PLAN_NODE
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.launch import DEFAULT_PARALLELISM, Launch
from flyte_nb.propeller.ports import Attempt
from flyte_nb.propeller.records import (
    AttemptRecord,
    ElementRecord,
    NodeRecord,
    Record,
    WorkflowRecord,
)


def check_start(attempt: Attempt, recorded: Sequence[Record]) -> None:
    """Check that an attempt that is about to be started was recorded, and has all of its inputs.

    Raises:
        AssertionError: when it was not, or lacks one.
    """
    key = attempt.key
    node_id = key.node_id
    if attempt.element >= 0:
        known = any(isinstance(x, ElementRecord) and x.phase == phases.QUEUED for x in recorded)
    else:
        known = any(
            isinstance(x, AttemptRecord)
            and (x.node_id, x.attempt, x.phase) == (node_id, key.attempt, phases.QUEUED)
            for x in recorded
        )
    assert known, f"{key} is started and was not recorded"
    wanted = set(attempt.task.interface.inputs.variables)
    assert set(attempt.inputs.literals) == wanted, f"{key} is started without all of its inputs"


def check_history(launch: Launch, records: Sequence[Record], store: BlobStore) -> None:
    """Check the records of an execution that has ended.

    Raises:
        AssertionError: when one of the rules does not hold.
    """
    changes = [record for record in records if isinstance(record, WorkflowRecord)]
    assert changes, f"{launch.id} was never recorded"
    ends = [record for record in changes if record.phase in phases.ENDED_EXECUTION]
    assert len(ends) == 1, f"{launch.id} has ended {len(ends)} times"
    assert records[-1] is ends[0], f"{launch.id} has records after its end"
    error = ends[0].error
    assert error is None or error.code != "SYSTEM:EngineError", error
    times = [record.at_us for record in records]
    assert times == sorted(times), "the records' times go back"
    _check_nodes(records)
    _check_attempts(records)
    _check_parallelism(launch, records)
    if ends[0].phase == phases.SUCCEEDED and ends[0].output_uri:
        assert store.size(ends[0].output_uri) is not None, "the outputs are not stored"


def _check_nodes(records: Sequence[Record]) -> None:
    last: dict[str, str] = {}
    for record in records:
        if not isinstance(record, NodeRecord):
            continue
        before = last.get(record.node_id, "")
        assert before not in phases.ENDED_NODE, f"{record.node_id} has ended twice"
        assert before != record.phase or record.child_execution, f"{record.node_id} repeats itself"
        if record.parent_id:
            assert last.get(record.parent_id) not in phases.ENDED_NODE, "its parent has ended"
        last[record.node_id] = record.phase
    open = [node_id for node_id, phase in last.items() if phase not in phases.ENDED_NODE]
    assert not open, f"these nodes have not ended: {open}"


def _check_attempts(records: Sequence[Record]) -> None:
    live: dict[str, int] = {}
    nodes: dict[str, str] = {}
    for record in records:
        if isinstance(record, NodeRecord):
            nodes[record.node_id] = record.phase
            if record.phase in phases.ENDED_NODE:
                assert record.node_id not in live, f"{record.node_id} ended before its attempt"
        elif isinstance(record, AttemptRecord):
            assert nodes.get(record.node_id) not in phases.ENDED_NODE, "an attempt after the end"
            if record.phase == phases.QUEUED:
                assert record.node_id not in live, f"two attempts live at {record.node_id}"
                live[record.node_id] = record.attempt
            elif record.phase in phases.ENDED_ATTEMPT:
                assert live.pop(record.node_id, None) == record.attempt
    assert not live, f"these attempts have not ended: {live}"


def _check_parallelism(launch: Launch, records: Sequence[Record]) -> None:
    """Check that never more task nodes had an attempt, or a child execution, than may be active."""
    most = launch.max_parallelism or DEFAULT_PARALLELISM
    active: set[str] = set()
    for record in records:
        if isinstance(record, NodeRecord) and record.kind == LAUNCH_PLAN_NODE:
            is_active = record.phase == phases.RUNNING
        elif isinstance(record, AttemptRecord):
            is_active = record.phase not in phases.ENDED_ATTEMPT
        else:
            continue
        (active.add if is_active else active.discard)(record.node_id)
        assert len(active) <= most, f"{len(active)} nodes are active, and {most} may be"
