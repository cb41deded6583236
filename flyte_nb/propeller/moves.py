"""The state of one execution and its moves: `apply` is the only place where the state changes.

Each record is looked up in a table (`tables`) and checked against the state. It is either refused, and
nothing changes, or the move is made. Nothing here makes records: `machine` does.

Every check comes before the first change, in every method. That is what lets a refusal leave no trace,
and a test tries it with random records.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.propeller.attempt_moves import AttemptMoves
from flyte_nb.propeller.checks import objection
from flyte_nb.propeller.data_layout import OUTPUTS
from flyte_nb.propeller.elements import ELEMENT_ABORT, ElementsRun
from flyte_nb.propeller.plan import ExecutionPlan, WorkflowPlan
from flyte_nb.propeller.records import (
    AttemptRecord,
    ElementRecord,
    NodeRecord,
    Record,
    WorkflowRecord,
)
from flyte_nb.propeller.rules import TIMEOUT, IllegalMove, failure_node, illegal
from flyte_nb.propeller.runs import run_of
from flyte_nb.propeller.state import OPEN, PASSED, NodeState, WorkflowRun
from flyte_nb.propeller.tables import NODE_MOVES, WORKFLOW_MOVES

# Flyte's own texts: clients show them as the reason of aborted attempts.
AUTO_ABORT = "Some node execution failed, auto-abort."
USER_ABORT = "Workflow aborted."
_CHILD_ABORT = {
    nodes.WORKFLOW_NODE: "subworkflow failed",
    nodes.TASK_NODE: "Dynamic workflow failed",
    nodes.ARRAY_NODE: ELEMENT_ABORT,
}


class Moves(AttemptMoves):
    """The state of one execution. Only records change it.

    `ready`, `entering`, `startable` and `live` say what the driver has to do next. They are
    dictionaries because their order is part of the state: nodes are served in the order in which they
    became ready, in a replay too.
    """

    def __init__(self, plan: ExecutionPlan, input_uri: str = "") -> None:
        """Start before the first record; `input_uri` is where the workflow's inputs are stored."""
        self.plan = plan
        self.input_uri = input_uri
        self.phase = ""
        self.error: ErrorInfo | None = None
        self.output_uri = ""
        self.nodes: dict[str, NodeState] = {}
        self.ready: dict[str, NodeState] = {}
        """Task and launch plan nodes whose inputs can be resolved. The driver does that and calls `queue`."""
        self.entering: dict[str, NodeState] = {}
        """Nodes that the driver moves on: without a task to QUEUED (`queue`), then `enter` or `finish`; of
        a dynamic task to DYNAMIC_RUNNING (`expand`), then `finish`."""
        self.startable: dict[str, NodeState] = {}
        """Task nodes that need an attempt. The driver calls `attempt`."""
        self.arrays: dict[str, NodeState] = {}
        self.gathering: dict[str, NodeState] = {}
        self.maps: dict[str, NodeState] = {}
        self.live: dict[str, NodeState] = {}
        """Task nodes with an attempt that has not ended, by node id."""
        self.gates: dict[str, NodeState] = {}
        """Gate nodes that wait: for a signal, or for a time. The driver calls `finish` or `reject`."""
        self.launching: dict[str, NodeState] = {}
        """Launch plan nodes that have begun and have not ended: the driver looks after their executions."""
        self.calling: dict[str, NodeState] = {}
        """Those of `launching` that changed since the driver looked at them last. It takes them out."""
        self.timed: list[NodeState] = []
        """Nodes with a timeout that began since the driver looked last. It takes them out."""
        self.expanded: dict[str, NodeState] = {}
        """Dynamic task nodes whose nodes run (DYNAMIC_RUNNING), by node id."""
        self.made: dict[str, ExecutionPlan] = {}
        """Plans of workflows that came into being while the execution ran, by the URI in their record."""
        self.has_doomed = False
        """Whether any run had to end early. Most executions never have one, and then `doomed` is empty."""
        self.active_tasks = 0
        """How many task and launch plan nodes are QUEUED or RUNNING; `max_parallelism` limits this."""
        # What changed since `settle` last looked: consequences can only follow from these.
        self._unsettled: deque[NodeState | WorkflowRun] = deque()
        self.root = self._run_of(None, plan.workflows[""], plan.workflows)

    @property
    def is_terminal(self) -> bool:
        """Return whether the execution has ended."""
        return self.phase in phases.ENDED_NODE

    def doomed(self) -> Iterator[NodeState]:
        """Return the live nodes whose attempts have to be ended."""
        return (node for node in self.live.values() if node.run.doom)

    def apply(self, record: Record) -> None:
        """Make the move that `record` states.

        Raises:
            IllegalMove: when the move is not possible now; nothing has changed then.
        """
        if record.error is None and record.phase in _WITH_ERROR:
            raise IllegalMove(f"A record of {record.phase} needs an error: {record}.")
        if isinstance(record, NodeRecord):
            self._apply_node(record)
        elif isinstance(record, AttemptRecord):
            self._apply_attempt(record)
        elif isinstance(record, ElementRecord):
            self._apply_element(record)
        else:
            self._apply_workflow(record)

    def _apply_workflow(self, record: WorkflowRecord) -> None:
        if record.phase not in WORKFLOW_MOVES[self.phase]:
            raise illegal("the execution", self.phase, record.phase)
        # Clients stop watching when an execution has ended, so nothing in it may go on after that.
        if record.phase in phases.ENDED_NODE and self.root.is_busy:
            raise IllegalMove(
                f"The execution cannot become {record.phase}: some nodes have not ended."
            )
        self.phase = record.phase
        if record.error is not None:
            self.error = record.error
        if record.phase == phases.SUCCEEDED:
            self.output_uri = record.output_uri
        elif record.phase in (phases.FAILING, phases.ABORTING):
            # An abort of a failing execution dooms again: what still runs is then aborted by the user.
            self._doom(self.root, USER_ABORT if record.phase == phases.ABORTING else AUTO_ABORT)
            if record.phase == phases.FAILING:
                self._prepare_handler(self.root)
        elif record.phase == phases.RUNNING:
            # `settle` ends the start node, and that lets the first nodes begin.
            self._unsettled.append(self.root.nodes[START_NODE])
        if not self.is_terminal:
            self._unsettled.append(self.root)

    def _apply_node(self, record: NodeRecord) -> None:
        node = self._known(record.node_id)
        before, phase, kind = node.phase, record.phase, node.plan.kind
        if phase not in NODE_MOVES[kind][before]:
            raise illegal(f"node {node.node_id}", before, phase)
        why = objection(node, record, self.phase)
        if not why and phase == phases.DYNAMIC_RUNNING and record.workflow_uri not in self.made:
            why = f"the workflow {record.workflow_uri} was not loaded"
        if why:
            raise IllegalMove(f"Node {node.node_id} cannot become {phase}: {why}.")
        run = node.run
        node.phase = phase
        if phase == phases.SKIPPED:
            run.skips = True
            run.skippable.pop(node.node_id, None)
        elif before == "" and kind != nodes.START_KIND:
            # The start node was never counted: `settle` moves it on without the driver.
            run.ready -= 1
            self.ready.pop(node.node_id, None)
        self.entering.pop(node.node_id, None)
        self.expanded.pop(node.node_id, None)
        # Counted by the change of phase: a record that keeps a node open must not count it twice.
        if phase in OPEN and before not in OPEN:
            run.open += 1
        elif before in OPEN and phase not in OPEN:
            run.open -= 1
        # An empty field of a record means no news, so what an earlier record said stays.
        node.error = record.error or node.error
        node.cache_status = record.cache_status or node.cache_status
        node.input_uri = record.input_uri or node.input_uri
        self._follow(node, before, record)

    def _follow(self, node: NodeState, before: str, record: NodeRecord) -> None:
        """Do for a node that has come into a phase what its kind needs there."""
        phase, kind = record.phase, node.plan.kind
        if phase == phases.QUEUED:
            node.queued_us = record.at_us
            node.former_checkpoint_uri = record.checkpoint_uri
            self.active_tasks += kind in _LIMITED
            self._queue_of(kind)[node.node_id] = node
            self._call(node)
        elif phase == phases.RUNNING and kind == nodes.GATE_NODE:
            node.first_started_us = record.at_us
            self.gates[node.node_id] = node
        elif phase == phases.RUNNING and kind == nodes.LAUNCH_PLAN_NODE:
            node.child_execution = record.child_execution
            node.attempts += 1
            node.attempt_started_us = record.at_us
            node.first_started_us = node.first_started_us or record.at_us
            self._call(node)
            self._time(node)
        elif phase == phases.RUNNING and kind != nodes.TASK_NODE:
            self._enter(node, record)
        elif phase == phases.RUNNING and before == "":
            # A dynamic task that is recovered: what its attempt made is taken over, and no attempt runs.
            node.attempts, node.attempt_phase = 1, phases.SUCCEEDED
            node.attempt_started_us = node.first_started_us = record.at_us
            node.job_uri = record.job_uri
            node.attempt_output_uri = f"{record.job_uri.rpartition('/')[0]}/{OUTPUTS}"
            self.active_tasks += 1
            self.entering[node.node_id] = node
        elif phase == phases.RUNNING and before == phases.FAILING:
            # The nodes of a dynamic task's attempt have ended without outputs: another attempt follows.
            node.child = node.error = None
            self.active_tasks += 1
            self.startable[node.node_id] = node
        elif phase == phases.DYNAMIC_RUNNING:
            # A limit on tasks counts the nodes inside, and not the one around them.
            self.active_tasks -= 1
            self.expanded[node.node_id] = node
            self._time(node)
            made = self.made[record.workflow_uri].workflows
            self._begin_run(node, made[""], made)
        elif phase == phases.FAILING:
            child = _child(node)
            self._doom(child, _CHILD_ABORT.get(kind, AUTO_ABORT))
            self._prepare_handler(child)
        elif phase in phases.ENDED_NODE:
            self._ended(node, before, record)

    def _queue_of(self, kind: str) -> dict[str, NodeState]:
        """Return the nodes that wait, queued, for the driver to do with them what their kind needs."""
        if kind == nodes.TASK_NODE:
            return self.startable
        return self.launching if kind == nodes.LAUNCH_PLAN_NODE else self.entering

    def _enter(self, node: NodeState, record: NodeRecord) -> None:
        """Give a node that runs other nodes its child run."""
        branch = node.branch = record.branch
        node.first_started_us = record.at_us
        if node.plan.array is not None:
            node.child = ElementsRun(node, node.plan.array)
            self.maps[node.node_id] = node
            self._time(node)
        elif node.plan.branch is None:
            workflows = node.run.workflows
            self._begin_run(node, workflows[node.plan.workflow], workflows)
        else:
            # An arm has no start node: its only node may begin at once, since the branch waited for its
            # inputs.
            arm = node.plan.branch.arms[branch][1]
            plan, run = WorkflowPlan({arm.id: arm}), node.run
            node.child = self._run_of(node, plan, run.workflows, run.scope)
            self._arrived(node.child.nodes[arm.id])

    def _begin_run(
        self, node: NodeState, plan: WorkflowPlan, workflows: "Mapping[str, WorkflowPlan]"
    ) -> None:
        """Give a node a run of a whole workflow, which may have come into being just now."""
        node.child = self._run_of(node, plan, workflows)
        self._unsettled.append(node.child.nodes[START_NODE])

    def _ended(self, node: NodeState, before: str, record: NodeRecord) -> None:
        """Let the nodes after `node` know that it has ended."""
        run = node.run
        node.output_uri = record.output_uri
        if node.plan.kind == nodes.START_KIND:
            # Nodes without anything upstream begin when their run does.
            for other in run.nodes.values():
                if other is not node and not other.waiting:
                    self._arrived(other)
        else:
            # A failing map still counts: elements of it run.
            counts = (phases.QUEUED, phases.RUNNING, *_FAILING_MAP.get(node.plan.kind, ()))
            self.active_tasks -= node.plan.kind in _LIMITED and before in counts
            driven_ones = (self._queue_of(node.plan.kind), self.gates, self.maps)
            for driven in (*driven_ones, self.arrays, self.gathering):
                driven.pop(node.node_id, None)
        failed = record.phase in (phases.FAILED, phases.TIMED_OUT)
        if failed:
            timed_out = record.phase == phases.TIMED_OUT
            run.failed = TIMEOUT if timed_out else record.error
        for below in node.plan.downstream:
            other = run.nodes[below]
            other.waiting -= 1
            # A node behind a skipped one lacks its outputs too, so skipping goes on downstream.
            other.tainted = other.tainted or failed or record.phase == phases.SKIPPED
            if not other.waiting:
                self._arrived(other)
        # This was the last open node of a failing run, so the failure node may begin now.
        if run.handler is not None and not run.open:
            self._arrived(failure_node(run.handler))
        self._unsettled.append(run)
        parent = run.parent
        # `settle` does not end a dynamic task: the driver has to store its outputs first.
        if parent is not None and parent.plan.kind == nodes.TASK_NODE and _has_outputs(run):
            self.entering[parent.node_id] = parent

    def _arrived(self, node: NodeState) -> None:
        """Make a node ready: everything before it has ended."""
        run, kind = node.run, node.plan.kind
        if run.doom:
            return
        if node.tainted:
            # Only a workflow that goes on after a failure skips nodes; `Machine` decides when.
            if not run.fail_immediately:
                run.skippable[node.node_id] = node
            return
        if kind in _LIMITED:
            self.ready[node.node_id] = node
        else:
            self.entering[node.node_id] = node
        run.ready += 1

    def _prepare_handler(self, run: WorkflowRun) -> None:
        """Give a failing run the run of its failure node, which begins when nothing else is open.

        It has a run of its own because the failing one is doomed, and nothing begins there. A workflow
        that failed before it began has no inputs for a failure node.
        """
        start = run.nodes.get(START_NODE)
        if run.failure is None or start is None or start.phase != phases.SUCCEEDED:
            return
        plan = WorkflowPlan({run.failure.id: run.failure})
        run.handler = self._run_of(run.parent, plan, run.workflows, run)
        run.handler.handled = run
        if not run.open:
            self._arrived(failure_node(run.handler))

    def _doom(self, run: WorkflowRun, reason: str) -> None:
        """Let nothing more begin in this run, and everything open in it end, with its child runs."""
        self.has_doomed = True
        run.doom = reason
        run.ready = 0
        run.skippable.clear()
        for node in run.nodes.values():
            self.ready.pop(node.node_id, None)
            self.entering.pop(node.node_id, None)
            self.startable.pop(node.node_id, None)
            if node.is_open:
                self._unsettled.append(node)
                self._call(node)
                if node.child is not None:
                    self._doom(node.child, reason)
        if run.handler is not None:
            self._doom(run.handler, reason)
        if isinstance(run, ElementsRun):
            self._doom_elements(run)
        self._unsettled.append(run)

    def _run_of(
        self,
        parent: "NodeState | None",
        plan: WorkflowPlan,
        workflows: "Mapping[str, WorkflowPlan]",
        scope: "WorkflowRun | None" = None,
    ) -> WorkflowRun:
        run = run_of(self.nodes, parent, plan, workflows, scope)
        # Propeller asks the execution's own workflow what to do after a failure, also inside sub-workflows.
        run.fail_immediately = self.plan.workflows[""].fail_immediately
        return run

    def _known(self, node_id: str) -> NodeState:
        node = self.nodes.get(node_id)
        if node is None:
            raise IllegalMove(f"The execution has no node {node_id!r} at this point.")
        return node

    def compared(self) -> tuple[object, ...]:
        """Return all that records decide about the execution, for comparing two machines."""
        return (
            (self.phase, self.error, self.output_uri, self.active_tasks, self.root.compared()),
            tuple(node.compared() for node in self.nodes.values()),
            tuple(node.child.compared() for node in self.nodes.values() if node.child),
            tuple(map(tuple, (self.ready, self.entering, self.startable, self.live, self.gates))),
            tuple(map(tuple, (self.expanded, self.arrays, self.gathering))),
        )


_WITH_ERROR = frozenset({phases.FAILING, phases.FAILED, phases.TIMED_OUT, phases.ABORTING})
_LIMITED = frozenset({nodes.TASK_NODE, nodes.LAUNCH_PLAN_NODE, nodes.ARRAY_NODE})
"""Kinds of nodes that `max_parallelism` counts (`IsMaxParallelismAchieved` in nodes/executor.go).

A map counts once, and its elements have a limit of their own.
"""
_FAILING_MAP = {nodes.ARRAY_NODE: (phases.FAILING,)}


def _has_outputs(run: WorkflowRun) -> bool:
    """Return whether a run has come to its end node, and nothing in it goes on."""
    end = run.nodes[END_NODE]
    return not (run.open or run.ready or run.doom) and end.phase in PASSED


def _child(node: NodeState) -> WorkflowRun:
    if node.child is None:
        raise IllegalMove(f"Node {node.node_id} runs no nodes, so it cannot be FAILING.")
    return node.child
