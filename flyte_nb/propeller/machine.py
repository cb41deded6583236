"""The state machine of one execution. It is pure: no input or output, no clock, no randomness.

Theory of operation. State changes in one place only, `Moves.apply(record)`, which looks the step up in
a table and either makes it or refuses it and changes nothing. Everything in this file makes records and
applies them:

- *events* (`queue`, `started`, `succeeded`, …) state what the driver did or saw;
- *consequences* (`settle`) follow from the state alone: a finished attempt finishes its node, a failed
  node fails its workflow, and a workflow that is failing and has nothing open has failed.

So the records in their order are the whole truth. Applied to a new machine they give the same state,
after any of them, and `settle` then adds the consequences that were not recorded any more before a
crash. What the driver has to do next is part of that state, and can be read at any time: `ready`,
`entering`, `startable`, `live`, `doomed`.

Source: flytepropeller/pkg/controller/{workflow,nodes} at v1.16.8.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.propeller import records as r
from flyte_nb.propeller.moves import Moves
from flyte_nb.propeller.record_makers import attempt_record, end_of_attempts, node_record
from flyte_nb.propeller.records import NodeRecord, Record, WorkflowRecord
from flyte_nb.propeller.rules import IllegalMove, failure_node
from flyte_nb.propeller.state import OPEN, NodeState, WorkflowRun

__all__ = ["IllegalMove", "Machine"]

_STUCK = ErrorInfo(
    "SYSTEM:NothingToRun",
    "No node can run, and the workflow has not ended: its nodes wait for each other.",
    SYSTEM,
)


class Machine(Moves):
    """The state machine of one execution.

    Every event applies its record and all consequences, and returns these records in order. An event
    that does not fit the state raises `IllegalMove` and changes nothing.
    """

    # Events

    def begin(self, at_us: int) -> list[Record]:
        """Make the record that the execution starts."""
        return self._made(WorkflowRecord(at_us, phases.RUNNING))

    def queue(
        self, node: NodeState, at_us: int, input_uri: str, cache_status: str = ""
    ) -> list[Record]:
        """Make the record that the inputs of a node of `ready` or `entering` are stored at `input_uri`."""
        return self._made(
            node_record(node, at_us, phases.QUEUED, input_uri=input_uri, cache_status=cache_status)
        )

    def hit(
        self, node: NodeState, at_us: int, output_uri: str, input_uri: str = ""
    ) -> list[Record]:
        """Make the record that the outputs of a task were found in the catalog.

        Args:
            node: A node of `ready`, or a queued one that waited for another one's result.
            at_us: The time.
            output_uri: Where the outputs are stored.
            input_uri: Where the inputs are stored, when the node was not queued.
        """
        return self._made(
            node_record(
                node,
                at_us,
                phases.SUCCEEDED,
                input_uri=input_uri,
                output_uri=output_uri,
                cache_status=r.CACHE_HIT,
            )
        )

    def attempt(
        self, node: NodeState, at_us: int, folder: str, phase: str = phases.QUEUED
    ) -> list[Record]:
        """Make the record that the next attempt at a node of `startable` is about to be started.

        Args:
            node: The node.
            at_us: The time.
            folder: Where the attempt writes its outputs.
            phase: `RUNNING` where nothing can come between this record and the start of the attempt.
        """
        made: list[Record] = []
        if node.phase == phases.QUEUED:
            running = node_record(node, at_us, phases.RUNNING)
            self.apply(running)
            made.append(running)
        record = attempt_record(node, at_us, phase, attempt=node.attempts, output_uri=folder)
        made += self._made(record)
        return made

    def started(
        self,
        node: NodeState,
        at_us: int,
        logs: tuple[tuple[str, str], ...] = (),
        pid: "int | None" = None,
    ) -> list[Record]:
        """Make the record that the attempt runs."""
        return self._made(
            attempt_record(
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
        """Make the record that the attempt ended with outputs.

        It has succeeded also when it was about to be ended: its work is done, and its outputs are stored.
        """
        return self._made(
            attempt_record(
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
        timed_out: bool = False,
    ) -> list[Record]:
        """Make the record that the attempt ended without outputs.

        An attempt in a run that has to end counts as aborted, whatever its error, and so does one that
        ran out of time: the engine ended them. The second may be followed by another attempt.
        """
        doom = node.run.doom
        return self._made(
            attempt_record(
                node,
                at_us,
                phases.ABORTED if doom or timed_out else phases.FAILED,
                error=ErrorInfo("TaskAborted", "Task Aborted", SYSTEM) if doom else error,
                reason=doom,
                cpu_s=cpu_s,
                max_rss_bytes=max_rss_bytes,
            )
        )

    def reject(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that a node without an attempt failed.

        Its inputs, its condition or its signal cannot be resolved.
        """
        return self._made(node_record(node, at_us, phases.FAILED, error=error))

    def enter(self, node: NodeState, at_us: int, branch: int = -1) -> list[Record]:
        """Make the record that a queued sub-workflow node begins, or a branch node takes `branch`."""
        record = node_record(node, at_us, phases.RUNNING)
        return self._made(record._replace(branch=branch, is_parent=True))

    def wait(self, node: NodeState, at_us: int) -> list[Record]:
        """Make the record that a queued gate node begins to wait."""
        return self._made(node_record(node, at_us, phases.RUNNING))

    def time_out(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that a gate node waited too long."""
        return self._made(node_record(node, at_us, phases.TIMED_OUT, error=error))

    def launched(self, node: NodeState, at_us: int, child: ExecutionId) -> list[Record]:
        """Make the record that a launch plan node has, or is about to have, the execution `child`."""
        record = node_record(node, at_us, phases.RUNNING)
        return self._made(record._replace(child_execution=child))

    def exhausted(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that ends a launch plan node whose last execution took too long."""
        return self._made(end_of_attempts(node, error, at_us))

    def aborted(self, node: NodeState, at_us: int) -> list[Record]:
        """Make the record that a node of a run that has to end is ABORTED: its execution is being ended."""
        error = ErrorInfo("NodeAborted", node.run.doom)
        return self._made(node_record(node, at_us, phases.ABORTED, error=error))

    def finish(self, node: NodeState, at_us: int, output_uri: str) -> list[Record]:
        """Make the record that the outputs of an end, gate or launch plan node are stored."""
        return self._made(node_record(node, at_us, phases.SUCCEEDED, output_uri=output_uri))

    def abort(self, at_us: int, cause: str) -> list[Record]:
        """Make the record that a person asked for the end of the execution."""
        error = ErrorInfo("ExecutionAborted", cause, USER)
        return self._made(WorkflowRecord(at_us, phases.ABORTING, error))

    def fail(self, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that the engine itself cannot go on with the execution."""
        return self._made(WorkflowRecord(at_us, phases.FAILING, error))

    def settle(self, at_us: int) -> list[Record]:
        """Apply and return everything that follows from the state; a second call returns nothing.

        Only nodes and runs that something happened to are looked at (`_unsettled`), so that a step
        costs the same in a workflow of ten nodes and of ten thousand.
        """
        made: list[Record] = []
        while self._unsettled:
            item = self._unsettled.popleft()
            record = (
                self._node_consequence(item, at_us)
                if isinstance(item, NodeState)
                else self._run_consequence(item, at_us)
            )
            if record is not None:
                # Applying it may put further nodes and runs into `_unsettled`.
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
                return node_record(node, at_us, phases.SUCCEEDED, output_uri=uri)
            return None
        if node.phase not in OPEN or node.attempt_phase in OPEN:
            return None
        if node.attempt_phase == phases.SUCCEEDED:
            return node_record(
                node,
                at_us,
                phases.SUCCEEDED,
                output_uri=node.attempt_output_uri,
                cache_status=node.cache_status,
            )
        if run.doom:
            if node.child is not None or node.plan.kind == nodes.LAUNCH_PLAN_NODE:
                # An execution that the node launched is ended first, and the driver then calls `aborted`.
                # The child run ends first, and that ends this node. An abort ends nodes from the inside out.
                return None
            error = ErrorInfo("NodeAborted", run.doom)
            return node_record(node, at_us, phases.ABORTED, error=error)
        # `_attempt_failed` has put the node into `startable` again if it gets another attempt.
        if node.attempt_error is not None and node.node_id not in self.startable:
            return end_of_attempts(node, node.attempt_error, at_us)
        return None

    def _run_consequence(self, run: WorkflowRun, at_us: int) -> "Record | None":
        if run.handled is not None:
            run = run.handled  # the end of a failure node ends the run that failed
        parent = run.parent
        if self.is_terminal or (parent is not None and not parent.is_open):
            return None
        if run.doom:
            return None if run.is_busy else self._end_of_doomed(run, at_us)
        idle = not run.open and not run.ready
        # With FAIL_AFTER_EXECUTABLE_NODES_COMPLETE, what does not depend on the failed node goes on first.
        if run.failed is not None:
            if run.skippable and (not idle or run.skips or _has_way_on(run)):
                return node_record(next(iter(run.skippable.values())), at_us, phases.SKIPPED)
            if idle or run.fail_immediately:
                return self._becomes(run, at_us, phases.FAILING, run.failed)
        start = run.nodes.get(START_NODE)
        if not idle or (start is not None and start.phase == ""):
            return None
        # The run of a branch's arm has one node, and neither a start nor an end node.
        last = run.nodes[END_NODE] if start else next(iter(run.nodes.values()))
        if last.phase != phases.SUCCEEDED:
            # Nothing runs, nothing may begin, and the end was not reached: the closure has a cycle.
            # Flyte's compiler refuses those, but a closure may come from elsewhere, and must not hang.
            return self._becomes(run, at_us, phases.FAILING, _STUCK)
        if parent is None and self.phase == phases.RUNNING:
            return WorkflowRecord(at_us, phases.SUCCEEDING)
        if parent is None:
            return WorkflowRecord(at_us, phases.SUCCEEDED, output_uri=last.output_uri)
        return node_record(parent, at_us, phases.SUCCEEDED, output_uri=last.output_uri)

    def _end_of_doomed(self, run: WorkflowRun, at_us: int) -> "Record | None":
        """Return the record that ends a doomed run in which nothing is open any more.

        A run that failed ends after its failure node, unless it is aborted meanwhile.
        """
        parent = run.parent
        if run.handler is not None and not run.handler.doom:
            node = failure_node(run.handler)
            if node.phase not in phases.ENDED_NODE:
                return None
            original = self.error if parent is None else parent.error
            error = _masking(node, is_top=parent is None) or original
            return self._becomes(run, at_us, phases.FAILED, error)
        if parent is None:
            ending = phases.ABORTED if self.phase == phases.ABORTING else phases.FAILED
            return WorkflowRecord(at_us, ending, self.error)
        # FAILING: the fault is inside this run. Otherwise the run was ended from the outside.
        if parent.phase == phases.FAILING:
            return self._becomes(run, at_us, phases.FAILED, parent.error)
        error = ErrorInfo("NodeAborted", run.doom)
        return self._becomes(run, at_us, phases.ABORTED, error)

    def _becomes(
        self, run: WorkflowRun, at_us: int, phase: str, error: "ErrorInfo | None"
    ) -> Record:
        """Return the record by which the owner of the run (its node, or the execution) comes into `phase`."""
        if run.parent is None:
            return WorkflowRecord(at_us, phase, error)
        return node_record(run.parent, at_us, phase, error=error)


def _has_way_on(run: WorkflowRun) -> bool:
    """Return whether a node that did not fail has a node after it that has not begun.

    Propeller walks the graph from the start node, and ends the workflow in the round in which every way
    ends at a failed node. It looks behind a failed node only in a later round, and there is one only when
    some way leads further. So a chain whose last node but one fails skips nothing.
    """
    passed = (phases.SUCCEEDED, phases.RECOVERED, phases.SKIPPED)
    return any(
        run.nodes[below].phase == ""
        for node in run.nodes.values()
        if node.phase in passed
        for below in node.plan.downstream
    )


def _masking(node: NodeState, *, is_top: bool) -> "ErrorInfo | None":
    """Return the error of a failure node that takes the place of the workflow's own.

    A failure node that ran out of time hides the error of an execution, and not that of a sub-workflow:
    propeller asks only the first one about it.
    """
    if node.phase == phases.TIMED_OUT:
        return ErrorInfo("TimedOut", "FailureNode Timed-out", USER) if is_top else None
    return node.error if node.phase == phases.FAILED else None
