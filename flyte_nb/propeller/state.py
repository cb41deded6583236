"""What the machine remembers of nodes and of runs of templates. Changed by `machine` alone."""

from typing import Any

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.phases import FAILING, QUEUED, RUNNING
from flyte_nb.propeller.plan import NodePlan, WorkflowPlan

OPEN = frozenset({QUEUED, RUNNING, FAILING})
"""Phases of what was begun and has not ended."""


class NodeState:
    """One node of one run, and where it stands."""

    __slots__ = (
        "attempt_error",
        "attempt_output_uri",
        "attempt_phase",
        "attempt_started_us",
        "attempts",
        "branch",
        "cache_status",
        "child",
        "error",
        "first_started_us",
        "input_uri",
        "node_id",
        "output_uri",
        "phase",
        "plan",
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
        self.tainted = False  # something upstream failed or was skipped: this one is skipped
        self.input_uri = ""
        self.output_uri = ""
        self.error: ErrorInfo | None = None
        self.cache_status = ""
        self.branch = -1
        self.child: WorkflowRun | None = None
        self.attempts = 0
        self.attempt_phase = ""  # of the last attempt, as all `attempt_` fields
        self.attempt_error: ErrorInfo | None = None
        self.attempt_output_uri = ""
        self.attempt_started_us = 0
        self.first_started_us = 0
        self.system_failures = 0

    @property
    def is_open(self) -> bool:
        """Whether it was begun and has not ended."""
        return self.phase in OPEN

    @property
    def is_live(self) -> bool:
        """Whether an attempt of it was recorded and has not ended."""
        return self.attempt_phase in OPEN

    @property
    def attempt(self) -> int:
        """The number of the last attempt."""
        return self.attempts - 1

    def view(self) -> tuple[Any, ...]:
        """All that records decide, as a value; for comparing two machines."""
        plain = (
            getattr(self, name) for name in self.__slots__ if name not in ("plan", "run", "child")
        )
        return tuple(plain)


class WorkflowRun:
    """One run of a template: the top one, a sub-workflow node's, or the arm that a branch took."""

    __slots__ = ("doom", "fail_immediately", "failed", "nodes", "open", "parent", "ready", "scope")

    def __init__(
        self, parent: "NodeState | None", plan: WorkflowPlan, scope: "WorkflowRun | None" = None
    ) -> None:
        self.parent = parent  # None at the top
        self.scope = (
            scope or self
        )  # whose nodes promises name: an arm's are those around the branch
        self.fail_immediately = plan.fail_immediately
        self.nodes: dict[str, NodeState] = {}
        self.open = 0  # nodes that were begun and have not ended
        self.ready = 0  # nodes that could begin
        self.failed: ErrorInfo | None = None  # of the node that failed last
        self.doom = ""  # why everything open in here has to end; empty: it goes on

    def view(self) -> tuple[Any, ...]:
        """All that records decide, as a value; for comparing two machines."""
        return (self.open, self.ready, self.failed, self.doom, tuple(self.nodes))
