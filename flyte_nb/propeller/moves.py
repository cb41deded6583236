"""The state of one execution and its moves: `apply` is the only place where it changes.

Each record is looked up in a table (`tables`) and checked against what is open; it is refused, with
the state unchanged, or made. Nothing here makes records: see `machine`.
"""

from collections import deque
from collections.abc import Iterator
from itertools import count

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, FlyteNbError
from flyte_nb.api.nodes import START_NODE, further_node_id, unique_node_id
from flyte_nb.propeller.plan import ExecutionPlan, NodePlan, WorkflowPlan
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, Record, WorkflowRecord
from flyte_nb.propeller.state import OPEN, NodeState, WorkflowRun
from flyte_nb.propeller.tables import ATTEMPT_MOVES, NODE_MOVES, WORKFLOW_MOVES

SYSTEM_RETRIES = 3
"""Attempts lost by the system's fault that are tried again (max-node-retries-system-failures)."""

AUTO_ABORT = "Some node execution failed, auto-abort."
USER_ABORT = "Workflow aborted."


class IllegalMove(FlyteNbError):
    """A record that cannot follow on those before. The machine has not changed."""


class Moves:
    """One execution, changed by records alone."""

    def __init__(self, plan: ExecutionPlan, input_uri: str = "") -> None:
        """A machine before its first record; `input_uri` is where the workflow's inputs lie."""
        self.plan = plan
        self.input_uri = input_uri
        self.phase = ""
        self.error: ErrorInfo | None = None
        self.output_uri = ""
        self.nodes: dict[str, NodeState] = {}
        self.ready: dict[str, NodeState] = {}
        """Task nodes whose inputs can be resolved (then `queue`)."""
        self.entering: dict[str, NodeState] = {}
        """Other nodes to be moved on by the driver: QUEUED next (`queue`), then entered."""
        self.startable: dict[str, NodeState] = {}
        """Task nodes that need an attempt (`attempt`)."""
        self.live: dict[str, NodeState] = {}
        """Task nodes with an attempt that has not ended."""
        self.has_doomed = False
        """Whether anything was ever doomed; while not, there is nothing in `doomed`."""
        self.active_tasks = 0
        """Task nodes that are QUEUED or RUNNING; what `max_parallelism` bounds."""
        self._unsettled: deque[NodeState | WorkflowRun] = deque()
        self.root = self._run_of(None, plan.workflows[""])

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended."""
        return self.phase in phases.ENDED_NODE

    def doomed(self) -> Iterator[NodeState]:
        """Live nodes that have to be ended."""
        return (node for node in self.live.values() if node.run.doom)

    def apply(self, record: Record) -> None:
        """Make the move that `record` says.

        Raises:
            IllegalMove: when it cannot follow; nothing has changed then.
        """
        if record.error is None and record.phase in _WITH_ERROR:
            raise IllegalMove(f"A record of {record.phase} needs an error: {record}.")
        if isinstance(record, NodeRecord):
            self._apply_node(record)
        elif isinstance(record, AttemptRecord):
            self._apply_attempt(record)
        else:
            self._apply_workflow(record)

    def _apply_workflow(self, record: WorkflowRecord) -> None:
        if record.phase not in WORKFLOW_MOVES[self.phase]:
            raise _illegal("the execution", self.phase, record.phase)
        if record.phase in phases.ENDED_NODE and self.root.open:
            raise IllegalMove(f"The execution cannot become {record.phase}: nodes are open.")
        self.phase = record.phase
        if record.error is not None:
            self.error = record.error
        if record.phase == phases.SUCCEEDED:
            self.output_uri = record.output_uri
        elif record.phase in (phases.FAILING, phases.ABORTING):
            self._doom(self.root, USER_ABORT if record.phase == phases.ABORTING else AUTO_ABORT)
        elif record.phase == phases.RUNNING:
            self._unsettled.append(self.root.nodes[START_NODE])
        if not self.is_terminal:
            self._unsettled.append(self.root)

    def _apply_node(self, record: NodeRecord) -> None:
        node = self._known(record.node_id)
        before, phase, kind = node.phase, record.phase, node.plan.kind
        if phase not in NODE_MOVES[kind][before]:
            raise _illegal(f"node {node.node_id}", before, phase)
        self._check_node(node, record)
        run = node.run
        node.phase = phase
        if before == "" and kind != nodes.START_KIND:
            run.ready -= 1
            self.ready.pop(node.node_id, None)
        self.entering.pop(node.node_id, None)
        run.open += (phase in OPEN) - (before in OPEN)
        node.error = record.error or node.error
        node.cache_status = record.cache_status or node.cache_status
        if phase == phases.QUEUED:
            node.input_uri = record.input_uri
            if kind == nodes.TASK_NODE:
                self.active_tasks += 1
                self.startable[node.node_id] = node
            else:
                self.entering[node.node_id] = node
        elif phase == phases.RUNNING and kind != nodes.TASK_NODE:
            self._enter(node, record.branch)
        elif phase == phases.FAILING:
            self._doom(_child(node), AUTO_ABORT)
        elif phase in phases.ENDED_NODE:
            self._ended(node, before, record)

    def _check_node(self, node: NodeState, record: NodeRecord) -> None:
        """Refuse what the table of phases alone would let pass."""
        phase, plan = record.phase, node.plan
        why = ""
        if self.phase in _NOT_RUNNING:
            why = "no execution is running"
        elif node.phase == "":
            if node.waiting:
                why = "others have to end before"
            elif node.run.doom or node.tainted != (phase == phases.SKIPPED):
                why = "something before it decided otherwise"
        elif phase == phases.RUNNING:
            arms = len(plan.branch.arms) if plan.branch else 0
            if node.run.doom:
                why = "it has to end"
            elif plan.kind != nodes.TASK_NODE and not -1 < record.branch + (arms == 0) < (
                arms or 1
            ):
                why = f"it has no arm {record.branch}"
        elif node.child is not None and phase in phases.ENDED_NODE and node.child.open:
            why = "nodes in it are open"
        elif (
            plan.kind == nodes.TASK_NODE
            and node.phase == phases.RUNNING
            and (
                node.is_live
                or (phase == phases.SUCCEEDED) != (node.attempt_phase == phases.SUCCEEDED)
            )
        ):
            why = f"its attempt is {node.attempt_phase or 'not begun'}"
        if why:
            raise IllegalMove(f"Node {node.node_id} cannot become {phase}: {why}.")

    def _apply_attempt(self, record: AttemptRecord) -> None:
        node = self._known(record.node_id)
        phase = record.phase
        if node.plan.kind != nodes.TASK_NODE or node.phase != phases.RUNNING:
            raise IllegalMove(f"Node {node.node_id} is not a running task: it has no attempts.")
        if phase not in ATTEMPT_MOVES[node.attempt_phase]:
            raise _illegal(f"the attempt at node {node.node_id}", node.attempt_phase, phase)
        begins = node.attempt_phase not in OPEN
        if record.attempt != (node.attempts if begins else node.attempts - 1):
            raise IllegalMove(f"Attempt {record.attempt} at node {node.node_id} is not its turn.")
        if begins and (node.node_id not in self.startable or node.run.doom):
            raise IllegalMove(f"Node {node.node_id} needs no further attempt.")
        node.attempt_phase = phase
        node.attempt_error = record.error
        node.attempt_output_uri = record.output_uri or node.attempt_output_uri
        if begins:
            node.attempts += 1
            node.attempt_started_us = 0
            del self.startable[node.node_id]
            self.live[node.node_id] = node
        if phase == phases.RUNNING:
            node.attempt_started_us = record.at_us
            node.first_started_us = node.first_started_us or record.at_us
        elif phase != phases.QUEUED:
            del self.live[node.node_id]
            if phase == phases.SUCCEEDED:
                node.cache_status = record.cache_status or node.cache_status
            elif phase == phases.FAILED:
                self._attempt_failed(node, record)
            self._unsettled.append(node)

    def _attempt_failed(self, node: NodeState, record: AttemptRecord) -> None:
        """Decide whether there is another attempt; the consequence says why not."""
        error = record.error
        if error is None or node.run.doom:
            return
        node.system_failures += error.origin == SYSTEM
        current, most = budget(node, error)
        limit_us = node.first_started_us + 2 * node.plan.timeout_us
        in_time = not (node.plan.timeout_us and node.first_started_us) or record.at_us < limit_us
        if error.recoverable and current < most and in_time:
            self.startable[node.node_id] = node

    def _enter(self, node: NodeState, branch: int) -> None:
        node.branch = branch
        if node.plan.branch is None:
            node.child = self._run_of(node, self.plan.workflows[node.plan.workflow])
            self._unsettled.append(node.child.nodes[START_NODE])
        else:
            arm = node.plan.branch.arms[branch][1]
            node.child = self._run_of(node, WorkflowPlan({arm.id: arm}), node.run.scope)
            self._arrived(node.child.nodes[arm.id])

    def _ended(self, node: NodeState, before: str, record: NodeRecord) -> None:
        run = node.run
        node.output_uri = record.output_uri
        if node.plan.kind == nodes.START_KIND:
            for other in run.nodes.values():
                if other is not node and not other.waiting:
                    self._arrived(other)
        elif node.plan.kind == nodes.TASK_NODE and before:
            self.active_tasks -= 1
            self.startable.pop(node.node_id, None)
        failed = record.phase in (phases.FAILED, phases.TIMED_OUT)
        if failed:
            timed_out = record.phase == phases.TIMED_OUT
            run.failed = _TIMEOUT if timed_out else record.error
        for below in node.plan.downstream:
            other = run.nodes[below]
            other.waiting -= 1
            other.tainted = other.tainted or failed or record.phase == phases.SKIPPED
            if not other.waiting:
                self._arrived(other)
        self._unsettled.append(run)

    def _arrived(self, node: NodeState) -> None:
        """Everything before this node has ended."""
        run, kind = node.run, node.plan.kind
        if run.doom:
            return
        if node.tainted:
            if run.fail_immediately or kind == nodes.END_KIND:
                return
            self._unsettled.append(node)
        elif kind == nodes.TASK_NODE:
            self.ready[node.node_id] = node
        else:
            self.entering[node.node_id] = node
        run.ready += 1

    def _doom(self, run: WorkflowRun, reason: str) -> None:
        """Everything open in this run has to end, nothing begins in it any more."""
        self.has_doomed = True
        run.doom = reason
        run.ready = 0
        for node in run.nodes.values():
            self.ready.pop(node.node_id, None)
            self.entering.pop(node.node_id, None)
            self.startable.pop(node.node_id, None)
            if node.is_open:
                self._unsettled.append(node)
                if node.child is not None:
                    self._doom(node.child, reason)
        self._unsettled.append(run)

    def _run_of(
        self, parent: "NodeState | None", plan: WorkflowPlan, scope: "WorkflowRun | None" = None
    ) -> WorkflowRun:
        run = WorkflowRun(parent, plan, scope)
        nodes = plan.nodes.values() if scope else (_START_PLAN, *plan.nodes.values())
        parent_id = parent.node_id if parent else ""
        for node_plan in nodes:
            node_id = unique_node_id(parent_id, 0, node_plan.id)
            if node_id in self.nodes:
                node_id = self._further_id(parent_id, node_plan.id)
            node = NodeState(node_plan, run, node_id)
            run.nodes[node_plan.id] = node
            self.nodes[node.node_id] = node
        return run

    def _further_id(self, parent_id: str, template_id: str) -> str:
        """Return an id that no other node of this execution has, the same at every replay."""
        further = (further_node_id(parent_id, 0, template_id, number) for number in count(1))
        return next(node_id for node_id in further if node_id not in self.nodes)

    def _known(self, node_id: str) -> NodeState:
        node = self.nodes.get(node_id)
        if node is None:
            raise IllegalMove(f"The execution has no node {node_id!r} (yet).")
        return node

    def view(self) -> tuple[object, ...]:
        """All that records decide, as a value; for comparing two machines."""
        return (
            (self.phase, self.error, self.output_uri, self.active_tasks, self.root.view()),
            tuple(node.view() for node in self.nodes.values()),
            tuple(node.child.view() for node in self.nodes.values() if node.child),
            tuple(map(tuple, (self.ready, self.entering, self.startable, self.live))),
        )


_WITH_ERROR = frozenset({phases.FAILING, phases.FAILED, phases.TIMED_OUT, phases.ABORTING})
_NOT_RUNNING = frozenset({"", phases.SUCCEEDED, phases.FAILED, phases.ABORTED})
_START_PLAN = NodePlan(START_NODE, nodes.START_KIND, START_NODE)
_TIMEOUT = ErrorInfo("Timeout", "Timeout in node", USER)


def budget(node: NodeState, error: ErrorInfo) -> tuple[int, int]:
    """Attempts lost to this kind of failure so far, and how many may be.

    Source: flytepropeller/pkg/controller/nodes/executor.go `isEligibleForRetry` at v1.16.8.
    """
    if error.origin == SYSTEM:
        return node.system_failures - 1, SYSTEM_RETRIES
    return node.attempts - node.system_failures, node.plan.max_attempts


def _child(node: NodeState) -> WorkflowRun:
    if node.child is None:
        raise IllegalMove(f"Node {node.node_id} runs no nodes of its own.")
    return node.child


def _illegal(what: str, before: str, after: str) -> IllegalMove:
    return IllegalMove(f"Illegal move of {what} from {before or 'nothing'} to {after}.")
