"""`flyte_nb.last_run()`: the last call of a workflow or a task in this kernel, to look at or run again."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.api import phases
from flyte_nb.api.errors import ErrorInfo, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_KIND, START_KIND
from flyte_nb.executions.why import NOT_CACHED, RECOVERED, Why

if TYPE_CHECKING:
    from flyte_nb.propeller.local_children import LocalRuns
    from flyte_nb.propeller.local_entities import LocalEntities
    from flyte_nb.propeller.plan import ExecutionPlan
    from flyte_nb.propeller.state import NodeState
    from flyte_nb.sdk.entity import Definition


Explain = Callable[[str], Why]
"""Returns why a node of a cached task ran, or did not, by its id."""


class LocalNode(NamedTuple):
    """One node of a local run."""

    node_id: str
    name: str
    phase: str
    """As in flyteidl; empty for a node that did not begin."""
    attempts: int
    cache_status: str = ""
    error: "ErrorInfo | None" = None
    explain: "Explain | None" = None

    def why(self) -> Why:
        """Return why it ran, or did not: a cached result was found, or was not and because of what.

        Raises:
            StorageError: the local cache cannot be read.
        """
        if self.phase == phases.RECOVERED:
            text = "It succeeded in the call before, and its outputs were taken over."
            return Why(self.node_id, self.name, RECOVERED, text)
        if self.explain is None:
            text = "Results are not kept for it, so it runs each time."
            return Why(self.node_id, self.name, NOT_CACHED, text)
        return self.explain(self.node_id)


class Called(NamedTuple):
    """A call of a workflow or a task."""

    entity: "Definition"
    inputs: Mapping[str, object]
    plan: "ExecutionPlan"
    entities: "LocalEntities"
    """The tasks that were run."""


class LocalRun:
    """A call that has ended. It keeps what a recovery needs, and only when it failed."""

    def __init__(
        self,
        called: Called,
        runs: "LocalRuns",
        again: "Callable[[LocalRun, bool], object]",
        reasons: "Mapping[str, Explain]",
    ) -> None:
        """Take over what the call left.

        Args:
            called: What was called, and with what.
            runs: The run, with those that its nodes started.
            again: Runs it again; with `True`, what succeeded is taken over.
            reasons: Explain the nodes of cached tasks, by their ids.
        """
        self.entity, self.plan, self.entities = called.entity, called.plan, called.entities
        self._again = again
        self._reasons = reasons
        id = runs.ids[0]
        driver = runs.driver(id)
        assert driver is not None  # the called run is always there
        self.id: ExecutionId = id
        self.phase = driver.machine.phase
        """As in flyteidl: `SUCCEEDED`, `FAILED`, `ABORTED`."""
        self.error = driver.machine.error
        self._states: Mapping[str, NodeState] = driver.machine.nodes
        self.runs = runs if self.phase != phases.SUCCEEDED else None
        """What a recovery takes over; `None` after a success, so that its values can be freed."""
        self.inputs: Mapping[str, object] = called.inputs if self.runs is not None else {}
        """With what it was called. After a success they are not kept either: they may be large."""
        if self.runs is None:
            _remove(runs)

    @property
    def nodes(self) -> "Mapping[str, LocalNode]":
        """The nodes by id, in the order in which they came into being."""
        return {
            node.node_id: _node(node, self._reasons.get(node.node_id))
            for node in self._states.values()
            if node.plan.kind not in (START_KIND, END_KIND)
        }

    def relaunch(self) -> object:
        """Call it again with the same inputs; return what it returns, and raise what it raises.

        Raises:
            UsageError: it succeeded, so its inputs were not kept.
        """
        self._check_failed("Its inputs are not kept: call it again.")
        return self._again(self, False)

    def recover(self) -> object:
        """Call it again without running what succeeded; return what it returns, and raise what it raises.

        A node is taken over when neither its tasks nor anything before it changed since: so a cell that
        failed can be put right and run again first.

        Raises:
            UsageError: it succeeded, or the workflow has other nodes by now.
        """
        self._check_failed("There is nothing to recover.")
        return self._again(self, True)

    def _check_failed(self, otherwise: str) -> None:
        if self.phase == phases.SUCCEEDED:
            raise UsageError(f"{self.entity.short_name} succeeded. {otherwise}")
        if self.runs is None:
            raise UsageError(
                f"Another call came after this one of {self.entity.short_name}, and only the last one can"
                " be run again. Call it again."
            )

    def close(self) -> None:
        """Free the values and checkpoints that a recovery would take over."""
        if self.runs is not None:
            _remove(self.runs)
            self.runs, self.inputs = None, {}

    def __repr__(self) -> str:
        lines = [f"<local run of {self.entity.short_name}, {self.phase}>"]
        lines += [
            f"  {one.node_id:<12}{one.phase or '–':<12}{one.name}" for one in self.nodes.values()
        ]
        return "\n".join(lines)


def _node(node: "NodeState", explain: "Explain | None") -> LocalNode:
    status = "" if node.cache_status == "CACHE_DISABLED" else node.cache_status
    name, error = node.plan.name, node.error
    return LocalNode(node.node_id, name, node.phase, node.attempts, status, error, explain)


def _remove(runs: "LocalRuns") -> None:
    for files in runs.files.values():
        files.close()
