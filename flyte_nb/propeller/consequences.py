"""What follows from the state of an execution alone: the records that no event is needed for. Pure.

A finished attempt finishes its node, a failed node fails its workflow, and a workflow that is failing
and has nothing open has failed. `machine.Machine` adds the events.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, ErrorInfo
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.propeller.elements import ElementsRun
from flyte_nb.propeller.moves import Moves
from flyte_nb.propeller.record_makers import end_of_attempts, node_record
from flyte_nb.propeller.records import NodeRecord, Record, WorkflowRecord
from flyte_nb.propeller.rules import (
    TIMEOUT,
    failure_node,
    gets_another_attempt,
    has_way_on,
    reported_error,
)
from flyte_nb.propeller.state import OPEN, PASSED, NodeState, WorkflowRun

_STUCK = ErrorInfo(
    "SYSTEM:NothingToRun",
    "No node can run, and the workflow has not ended: its nodes wait for each other.",
    SYSTEM,
)

# Propeller's code and text. A dynamic task gets another attempt when a node that it made was out of time,
# and none when one failed.
_TIMED_OUT_INSIDE = ErrorInfo("DynamicNodeFailing", "Dynamic workflow failed", UNKNOWN, True)


class Consequences(Moves):
    """The state of one execution, and what follows from it."""

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

    def _node_consequence(self, node: NodeState, at_us: int) -> "NodeRecord | None":
        run = node.run
        if node.phase == "":
            if run.doom or node.waiting:
                return None
            if node.plan.kind == nodes.START_KIND:
                uri = run.parent.input_uri if run.parent else self.input_uri
                return node_record(node, at_us, phases.SUCCEEDED, output_uri=uri)
            return None
        if node.phase not in OPEN or node.attempt_phase in OPEN or node.element >= 0:
            return None
        # Asked before `doom`: work that is done and stored counts, also in a run that has to end.
        if node.attempt_phase == phases.SUCCEEDED and not node.job_uri:
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
        if self.is_terminal:
            return None
        if parent is not None and (not parent.is_open or parent.child is not run):
            return None  # the node has ended, or goes on with another attempt
        if run.doom:
            return None if run.is_busy else self._end_of_doomed(run, at_us)
        if isinstance(run, ElementsRun):
            return _end_of_elements(run, at_us)
        idle = not run.open and not run.ready
        # With FAIL_AFTER_EXECUTABLE_NODES_COMPLETE, what does not depend on the failed node goes on first.
        if run.failed is not None:
            if run.skippable and (not idle or run.skips or has_way_on(run)):
                return node_record(next(iter(run.skippable.values())), at_us, phases.SKIPPED)
            if idle or run.fail_immediately:
                dynamic = parent is not None and parent.plan.kind == nodes.TASK_NODE
                error = reported_error(run)
                if dynamic and error == TIMEOUT:
                    error = _TIMED_OUT_INSIDE
                return self._becomes(run, at_us, phases.FAILING, error)
        start = run.nodes.get(START_NODE)
        if not idle or (start is not None and start.phase == ""):
            return None
        # The run of a branch's arm has one node, and neither a start nor an end node.
        last = run.nodes[END_NODE] if start else next(iter(run.nodes.values()))
        if last.phase not in PASSED:
            # Nothing runs, nothing may begin, and the end was not reached: the closure has a cycle.
            # Flyte's compiler refuses those, but a closure may come from elsewhere, and must not hang.
            return self._becomes(run, at_us, phases.FAILING, _STUCK)
        if parent is None and self.phase == phases.RUNNING:
            return WorkflowRecord(at_us, phases.SUCCEEDING)
        if parent is None:
            return WorkflowRecord(at_us, phases.SUCCEEDED, output_uri=last.output_uri)
        if parent.plan.kind == nodes.TASK_NODE:
            return None  # the driver stores its outputs as those of its attempt (`finish`)
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
        if parent.phase == phases.FAILING and parent.error is not None:
            if parent.plan.kind != nodes.TASK_NODE:
                return self._becomes(run, at_us, phases.FAILED, parent.error)
            if not (parent.run.doom and parent.error.recoverable):
                if gets_another_attempt(parent, parent.error, at_us):
                    return node_record(parent, at_us, phases.RUNNING)
                return end_of_attempts(parent, parent.error, at_us)
        error = ErrorInfo("NodeAborted", run.doom)
        return self._becomes(run, at_us, phases.ABORTED, error)

    def _becomes(
        self, run: WorkflowRun, at_us: int, phase: str, error: "ErrorInfo | None"
    ) -> Record:
        """Return the record by which the owner of the run (its node, or the execution) comes into `phase`."""
        if run.parent is None:
            return WorkflowRecord(at_us, phase, error)
        return node_record(run.parent, at_us, phase, error=error)


def _end_of_elements(run: ElementsRun, at_us: int) -> "NodeRecord | None":
    """Return the record by which a map fails, if it can no longer succeed."""
    if not run.is_lost or (run.array.run_all and not run.has_ended):
        return None
    phase = phases.FAILING if run.open else phases.FAILED
    node = run.parent
    return node_record(node, at_us, phase, error=run.error()) if node is not None else None


def _masking(node: NodeState, *, is_top: bool) -> "ErrorInfo | None":
    """Return the error of a failure node that takes the place of the workflow's own.

    A failure node that ran out of time hides the error of an execution, and not that of a sub-workflow:
    propeller asks only the first one about it.
    """
    if node.phase == phases.TIMED_OUT:
        return ErrorInfo("TimedOut", "FailureNode Timed-out", USER) if is_top else None
    return node.error if node.phase == phases.FAILED else None
