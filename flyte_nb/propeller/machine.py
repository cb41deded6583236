"""The state machine of one execution: pure, no input or output, no clock, no randomness.

Theory of operation. State changes in one place only: `Moves.apply(record)`, which looks the move up in
a table, refuses it (state unchanged) or makes it. Everything here makes records and applies them:

- *events* (`queue`, `started`, `succeeded`, …) say what the driver did or saw;
- *consequences* (`settle`) follow from the state alone: a finished attempt finishes its node, a
  failed node fails its workflow, a workflow that is failing and has nothing open has failed.

So the records in order are the whole truth: applied to a new machine they give the same state, after
any of them, and `settle` then adds what was not recorded any more. What the driver is to do next can
be read off (`ready`, `entering`, `startable`, `live`, `doomed`) and is part of that state.

Source: flytepropeller/pkg/controller/{workflow,nodes} at v1.16.8.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.propeller import records as r
from flyte_nb.propeller.durations import go_duration
from flyte_nb.propeller.moves import IllegalMove, Moves, budget
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, Record, WorkflowRecord
from flyte_nb.propeller.state import OPEN, NodeState, WorkflowRun

__all__ = ["IllegalMove", "Machine"]


class Machine(Moves):
    """One execution. Events return the records they made, already applied."""

    # Events

    def begin(self, at_us: int) -> list[Record]:
        """The execution starts."""
        return self._made(WorkflowRecord(at_us, phases.RUNNING))

    def queue(
        self, node: NodeState, at_us: int, input_uri: str, cache_status: str = ""
    ) -> list[Record]:
        """The inputs of a node of `ready` or `entering` lie at `input_uri`."""
        return self._made(
            _node_record(node, at_us, phases.QUEUED, input_uri=input_uri, cache_status=cache_status)
        )

    def hit(self, node: NodeState, at_us: int, output_uri: str) -> list[Record]:
        """The outputs of a queued task were found in the catalog."""
        return self._made(
            _node_record(
                node, at_us, phases.SUCCEEDED, output_uri=output_uri, cache_status=r.CACHE_HIT
            )
        )

    def attempt(
        self, node: NodeState, at_us: int, folder: str, phase: str = phases.QUEUED
    ) -> list[Record]:
        """The next attempt at a node of `startable` is about to be started; it writes to `folder`.

        `phase` is RUNNING where nothing can come between.
        """
        made: list[Record] = []
        if node.phase == phases.QUEUED:
            running = _node_record(node, at_us, phases.RUNNING)
            self.apply(running)
            made.append(running)
        record = _attempt_record(node, at_us, phase, attempt=node.attempts, output_uri=folder)
        made += self._made(record)
        return made

    def started(
        self,
        node: NodeState,
        at_us: int,
        logs: tuple[tuple[str, str], ...] = (),
        pid: "int | None" = None,
    ) -> list[Record]:
        """The attempt runs."""
        return self._made(
            _attempt_record(
                node,
                at_us,
                phases.RUNNING,
                output_uri=node.attempt_output_uri,
                logs=logs,
                pid=pid,
            )
        )

    def succeeded(
        self,
        node: NodeState,
        at_us: int,
        output_uri: str,
        *,
        cpu_s: "float | None" = None,
        max_rss_bytes: "int | None" = None,
        cache_status: str = "",
    ) -> list[Record]:
        """The attempt wrote outputs."""
        return self._made(
            _attempt_record(
                node,
                at_us,
                phases.SUCCEEDED,
                output_uri=output_uri,
                cpu_s=cpu_s,
                max_rss_bytes=max_rss_bytes,
                cache_status=cache_status,
            )
        )

    def failed(
        self,
        node: NodeState,
        at_us: int,
        error: ErrorInfo,
        *,
        cpu_s: "float | None" = None,
        max_rss_bytes: "int | None" = None,
    ) -> list[Record]:
        """The attempt ended without outputs; one that was doomed counts as aborted."""
        doom = node.run.doom
        return self._made(
            _attempt_record(
                node,
                at_us,
                phases.ABORTED if doom else phases.FAILED,
                error=ErrorInfo("TaskAborted", "Task Aborted", SYSTEM) if doom else error,
                reason=doom,
                cpu_s=cpu_s,
                max_rss_bytes=max_rss_bytes,
            )
        )

    def reject(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """A queued node cannot go on: its inputs, or its condition, cannot be resolved."""
        return self._made(_node_record(node, at_us, phases.FAILED, error=error))

    def enter(self, node: NodeState, at_us: int, branch: int = -1) -> list[Record]:
        """A queued sub-workflow node begins, or a branch node takes the arm with this number."""
        record = _node_record(node, at_us, phases.RUNNING)
        return self._made(record._replace(branch=branch, is_parent=True))

    def finish(self, node: NodeState, at_us: int, output_uri: str) -> list[Record]:
        """The outputs of a queued end node lie at `output_uri`."""
        return self._made(_node_record(node, at_us, phases.SUCCEEDED, output_uri=output_uri))

    def abort(self, at_us: int, cause: str) -> list[Record]:
        """Somebody asked that the execution ends."""
        error = ErrorInfo("ExecutionAborted", cause, USER)
        return self._made(WorkflowRecord(at_us, phases.ABORTING, error))

    def fail(self, at_us: int, error: ErrorInfo) -> list[Record]:
        """The engine itself cannot go on with the execution."""
        return self._made(WorkflowRecord(at_us, phases.FAILING, error))

    def settle(self, at_us: int) -> list[Record]:
        """Everything that follows from the state, applied; nothing when called again."""
        made: list[Record] = []
        while self._unsettled:
            item = self._unsettled.popleft()
            record = (
                self._node_consequence(item, at_us)
                if isinstance(item, NodeState)
                else self._run_consequence(item, at_us)
            )
            if record is not None:
                self.apply(record)
                made.append(record)
        return made

    def _made(self, record: Record) -> list[Record]:
        self.apply(record)
        made = [record]
        if self._unsettled:
            made += self.settle(record.at_us)
        return made

    # Consequences

    def _node_consequence(self, node: NodeState, at_us: int) -> "NodeRecord | None":
        run = node.run
        if node.phase == "":
            if run.doom or node.waiting:
                return None
            if node.plan.kind == nodes.START_KIND:
                uri = run.parent.input_uri if run.parent else self.input_uri
                return _node_record(node, at_us, phases.SUCCEEDED, output_uri=uri)
            return _node_record(node, at_us, phases.SKIPPED) if node.tainted else None
        if node.phase not in OPEN or node.attempt_phase in OPEN:
            return None
        if node.attempt_phase == phases.SUCCEEDED:
            return _node_record(
                node,
                at_us,
                phases.SUCCEEDED,
                output_uri=node.attempt_output_uri,
                cache_status=node.cache_status,
            )
        if run.doom:
            if node.child is not None:
                return None  # its own run says when it has ended
            error = ErrorInfo("NodeAborted", run.doom, SYSTEM)
            return _node_record(node, at_us, phases.ABORTED, error=error)
        if node.attempt_error is not None and node.node_id not in self.startable:
            return _end_of_attempts(node, node.attempt_error, at_us)
        return None

    def _run_consequence(self, run: WorkflowRun, at_us: int) -> "Record | None":
        parent = run.parent
        if self.is_terminal or (parent is not None and not parent.is_open):
            return None
        if run.doom:
            return None if run.open else self._end_of_doomed(run, at_us)
        idle = not run.open and not run.ready
        if run.failed is not None and (idle or run.fail_immediately):
            return self._becomes(run, at_us, phases.FAILING, run.failed)
        start = run.nodes.get(START_NODE)
        if not idle or (start is not None and start.phase == ""):
            return None
        last = run.nodes[END_NODE] if start else next(iter(run.nodes.values()))
        if last.phase != phases.SUCCEEDED:
            return self._becomes(run, at_us, phases.FAILING, _STUCK)
        if parent is None and self.phase == phases.RUNNING:
            return WorkflowRecord(at_us, phases.SUCCEEDING)
        if parent is None:
            return WorkflowRecord(at_us, phases.SUCCEEDED, output_uri=last.output_uri)
        return _node_record(parent, at_us, phases.SUCCEEDED, output_uri=last.output_uri)

    def _end_of_doomed(self, run: WorkflowRun, at_us: int) -> Record:
        parent = run.parent
        if parent is None:
            ending = phases.ABORTED if self.phase == phases.ABORTING else phases.FAILED
            return WorkflowRecord(at_us, ending, self.error)
        if parent.phase == phases.FAILING:
            return self._becomes(run, at_us, phases.FAILED, parent.error)
        error = ErrorInfo("NodeAborted", run.doom, SYSTEM)
        return self._becomes(run, at_us, phases.ABORTED, error)

    def _becomes(
        self, run: WorkflowRun, at_us: int, phase: str, error: "ErrorInfo | None"
    ) -> Record:
        """The record by which whoever runs this run comes into `phase`."""
        if run.parent is None:
            return WorkflowRecord(at_us, phase, error)
        return _node_record(run.parent, at_us, phase, error=error)


def _node_record(
    node: NodeState,
    at_us: int,
    phase: str,
    *,
    input_uri: str = "",
    output_uri: str = "",
    error: "ErrorInfo | None" = None,
    cache_status: str = "",
) -> NodeRecord:
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
            node.child is not None,
            None,
            node.branch,
        ),
    )


def _attempt_record(
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
) -> AttemptRecord:
    plan = node.plan
    if plan.task_id is None or plan.task is None:
        raise IllegalMove(f"Node {node.node_id} is no task: it has no attempts.")
    return _new(
        AttemptRecord,
        (
            at_us,
            node.node_id,
            node.attempts - 1 if attempt is None else attempt,
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
        ),
    )


# A third of the time that the constructor takes, and records are what the engine makes most.
_new = tuple.__new__

_STUCK = ErrorInfo(
    "SYSTEM:NothingToRun",
    "No node can run, and the workflow has not ended: its nodes wait for each other.",
    SYSTEM,
)


def _end_of_attempts(node: NodeState, error: ErrorInfo, at_us: int) -> NodeRecord:
    """The record of a node whose last attempt failed with `error` and that gets no further one."""
    if not error.recoverable:
        return _node_record(node, at_us, phases.FAILED, error=error)
    current, most = budget(node, error)
    if current < most:
        limit = go_duration(2 * node.plan.timeout_us)
        expired = ErrorInfo("TimeoutExpired", f"task active timeout [{limit}] expired", USER)
        return _node_record(node, at_us, phases.TIMED_OUT, error=expired)
    kind = error.origin or USER
    text = f"[{current}/{most}] currentAttempt done. Last Error: {kind}::{error.message}"
    exhausted = ErrorInfo(f"RetriesExhausted|{error.code}", text, USER)
    return _node_record(node, at_us, phases.FAILED, error=exhausted)
