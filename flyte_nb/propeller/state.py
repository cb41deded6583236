"""What the machine remembers of each node and of each run of a workflow. Only `moves` changes it.

The classes have slots and plain fields, because a replay of a long history changes them millions of times.
"""

from collections.abc import Mapping

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.phases import DYNAMIC_RUNNING, FAILING, QUEUED, RECOVERED, RUNNING, SUCCEEDED
from flyte_nb.propeller.plan import NodePlan, WorkflowPlan

OPEN = frozenset({QUEUED, RUNNING, DYNAMIC_RUNNING, FAILING})
"""Phases of what has begun and has not ended."""

PASSED = frozenset({SUCCEEDED, RECOVERED})
"""Phases of a node that gave its outputs."""


class NodeState:
    """One node of one run, and its progress."""

    __slots__ = (
        "attempt_error",
        "attempt_output_uri",
        "attempt_phase",
        "attempt_started_us",
        "attempts",
        "branch",
        "cache_status",
        "checkpoint_uri",
        "child",
        "child_execution",
        "deck_uri",
        "element",
        "error",
        "first_started_us",
        "former_checkpoint_uri",
        "input_uri",
        "job_uri",
        "node_id",
        "output_uri",
        "phase",
        "plan",
        "queued_us",
        "run",
        "system_failures",
        "tainted",
        "waiting",
    )

    def __init__(self, plan: NodePlan, run: "WorkflowRun", node_id: str) -> None:
        self.plan = plan
        self.run = run
        self.node_id = node_id
        self.phase = ""
        self.waiting = len(plan.upstream)  # nodes upstream that have not ended
        self.tainted = False  # a node upstream failed or was skipped, so this one is skipped
        self.input_uri = ""
        self.output_uri = ""
        self.deck_uri = ""
        self.queued_us = 0
        self.error: ErrorInfo | None = None
        self.cache_status = ""
        self.branch = -1
        self.child: WorkflowRun | None = None
        self.child_execution: ExecutionId | None = None
        self.checkpoint_uri = ""  # of the last attempt
        self.former_checkpoint_uri = ""  # of the execution that is recovered
        self.element = -1  # the number of the element that this is of a map; other nodes have -1
        # The `attempt_` fields describe the last attempt. Earlier ones are in the records only. A launch plan
        # node counts the executions that it started as its attempts, and none of them has a phase here.
        self.attempts = 0
        self.attempt_phase = ""
        self.attempt_error: ErrorInfo | None = None
        self.attempt_output_uri = ""
        self.attempt_started_us = 0
        self.job_uri = ""  # `futures.pb` of the last attempt: the node goes on with the nodes in it
        self.first_started_us = 0  # of the first attempt; of a gate, when it began to wait
        # Failures by the system have a budget of their own, so they are counted apart.
        self.system_failures = 0

    @property
    def is_open(self) -> bool:
        """Return whether the node has begun and has not ended."""
        return self.phase in OPEN

    @property
    def is_live(self) -> bool:
        """Return whether an attempt at the node was recorded and has not ended."""
        return self.attempt_phase in OPEN

    @property
    def attempt(self) -> int:
        """Return the number of the last attempt, counted from 0; -1 before the first."""
        return self.attempts - 1

    def compared(self) -> tuple[object, ...]:
        """Return all that records decide about the node, for comparing two machines."""
        plain = (
            getattr(self, name) for name in self.__slots__ if name not in ("plan", "run", "child")
        )
        return tuple(plain)


class WorkflowRun:
    """One run of a workflow plan.

    It is that of the execution's own workflow, of a sub-workflow, of a branch's arm, or of the workflow
    that a dynamic task made. Runs form a tree. A node that runs nodes of its own has a `child`, and that
    run has the node as its `parent`.
    """

    __slots__ = (
        "doom",
        "fail_immediately",
        "failed",
        "failure",
        "handled",
        "handler",
        "nodes",
        "open",
        "parent",
        "parent_attempt",
        "ready",
        "scope",
        "skippable",
        "skips",
        "workflows",
    )

    def __init__(
        self,
        parent: "NodeState | None",
        plan: WorkflowPlan,
        workflows: "Mapping[str, WorkflowPlan]",
        scope: "WorkflowRun | None" = None,
    ) -> None:
        """Start a run without nodes.

        Args:
            parent: The node that this run belongs to; `None` for the execution's own workflow.
            plan: What is run.
            workflows: The closure that the plan is from. Its sub-workflows are found there.
            scope: The run whose nodes the promises in here name; `None` means this run itself. The node of a
                branch's arm refers to nodes around the branch, because Flyte gives an arm no names of
                its own.
        """
        self.parent = parent
        # The parent may get another attempt later. Ids and folders in here have the number of this one.
        self.parent_attempt = max(parent.attempt, 0) if parent else 0
        self.workflows = workflows
        self.scope = scope or self
        self.fail_immediately = plan.fail_immediately
        self.failure = plan.failure
        # The run of the failure node, once this run is failing; and the run that this one is that for.
        self.handler: WorkflowRun | None = None
        self.handled: WorkflowRun | None = None
        self.nodes: dict[str, NodeState] = {}
        # Counters, so that asking whether a run has ended need not visit its nodes: that would make a
        # workflow of n nodes take n² steps.
        self.open = 0  # nodes that have begun and have not ended
        self.ready = 0  # nodes that may begin
        self.failed: ErrorInfo | None = None  # the error of the node that failed last
        self.doom = ""  # why everything open in this run has to end; empty while it goes on
        self.skippable: dict[
            str, NodeState
        ] = {}  # nodes that a failure before them keeps from running
        self.skips = False  # whether a node was skipped

    @property
    def is_busy(self) -> bool:
        """Return whether anything has begun and has not ended in this run or at its failure node."""
        return bool(self.open or (self.handler is not None and self.handler.open))

    def compared(self) -> tuple[object, ...]:
        """Return all that records decide about the run, for comparing two machines."""
        plain = (self.open, self.ready, self.failed, self.doom, self.skips)
        handler = self.handler.compared() if self.handler is not None else None
        return (*plain, self.parent_attempt, tuple(self.skippable), tuple(self.nodes), handler)
