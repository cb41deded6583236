"""What a former run in this process left for one that recovers it: nodes that are still good, and values.

The code may have changed since. A node is taken over when neither the tasks in it nor anything before it
changed.
"""

from collections.abc import Callable

from flyte_nb.api import phases
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.local_children import LocalRuns
from flyte_nb.propeller.plan import ExecutionPlan, NodePlan
from flyte_nb.propeller.ports import FormerNode
from flyte_nb.propeller.state import NodeState, WorkflowRun


class LocalRecovery:
    """Keeps to the port `FormerNodes`."""

    def __init__(self, runs: LocalRuns, changed: "Callable[[Identifier], bool]") -> None:
        """Find out which nodes are still good.

        Args:
            runs: The former run, with those that its nodes started.
            changed: Returns whether a task is another one by now.
        """
        self.files = runs.files
        """What tasks that failed had saved as checkpoints."""
        self._runs = runs
        self._changed = changed
        self._stale: set[tuple[ExecutionId, str]] = set()
        for id in runs.ids:
            driver = runs.driver(id)
            if driver is not None:
                self._mark(id, driver.machine.root, everything=False)

    def node(self, execution: ExecutionId, node_id: str) -> "FormerNode | None":
        """Return how that node stands; `None` when it has to run again, or there is none."""
        driver = self._runs.driver(execution)
        node = driver.machine.nodes.get(node_id) if driver is not None else None
        if node is None or (execution, node_id) in self._stale:
            return None
        # Inputs are not kept of every node, and nobody reads them again.
        return FormerNode(
            node.phase,
            output_uri=node.output_uri,
            cache_status=node.cache_status,
            child_execution=node.child_execution,
        )

    def fill(self, id: ExecutionId, values: Values) -> None:
        """Put the former run's values where the new one finds them."""
        former = self._runs.values(id)
        if former is not None:
            values.take_over(former)

    def _mark(self, id: ExecutionId, run: WorkflowRun, *, everything: bool) -> None:
        stale = {name for name, node in run.nodes.items() if everything or self._is_other(node)}
        before: set[str] = set()
        waiting = list(stale)
        while waiting:
            # What comes after a node that changed may get other inputs, so it is stale too.
            for below in run.nodes[waiting.pop()].plan.downstream:
                before.add(below)
                if below not in stale:
                    stale.add(below)
                    waiting.append(below)
        for name, node in run.nodes.items():
            if name in stale:
                self._stale.add((id, node.node_id))
            if node.child is not None:
                # What a dynamic task makes may differ from what it made: its nodes are begun anew.
                anew = everything or name in before or node.plan.kind == TASK_NODE
                self._mark(id, node.child, everything=anew)
            if name in before or everything:
                self._mark_child(node)

    def _mark_child(self, node: NodeState) -> None:
        driver = self._runs.driver(node.child_execution)
        if driver is not None and node.child_execution is not None:
            self._mark(node.child_execution, driver.machine.root, everything=True)

    def _is_other(self, node: NodeState) -> bool:
        """Return whether a task in the node changed, also in runs that it started."""
        if node.plan.task_id is not None and self._changed(node.plan.task_id):
            return True
        inner = [*node.child.nodes.values()] if node.child is not None else []
        driver = self._runs.driver(node.child_execution)
        if driver is not None:
            inner += driver.machine.root.nodes.values()
        return any(self._is_other(each) for each in inner)


def can_recover(runs: LocalRuns, id: ExecutionId) -> bool:
    """Return whether a run ended otherwise than with its outputs."""
    driver = runs.driver(id)
    return driver is not None and driver.machine.phase != phases.SUCCEEDED


def same_shape(one: ExecutionPlan, other: ExecutionPlan) -> bool:
    """Return whether two plans have the same nodes, which run the same and are bound alike."""
    if one is other:
        return True
    if one.workflows.keys() != other.workflows.keys():
        return False
    return all(
        mine.nodes.keys() == other.workflows[key].nodes.keys()
        and all(_alike(node, other.workflows[key].nodes[name]) for name, node in mine.nodes.items())
        for key, mine in one.workflows.items()
    )


def _alike(one: NodePlan, other: NodePlan) -> bool:
    fields = ("kind", "bindings", "upstream", "task_id", "workflow", "launch_plan", "branch")
    if one.branch is not None and other.branch is not None:
        arms = zip(one.branch.arms, other.branch.arms, strict=False)
        if len(one.branch.arms) != len(other.branch.arms):
            return False
        return one.bindings == other.bindings and all(
            mine[0] == theirs[0] and _alike(mine[1], theirs[1]) for mine, theirs in arms
        )
    return all(getattr(one, field) == getattr(other, field) for field in fields)
