"""Make runs of workflows with their nodes, each with an id of its own in the execution. Pure."""

from collections.abc import Mapping
from itertools import count

from flyte_nb.api import nodes
from flyte_nb.api.nodes import START_NODE, further_node_id, unique_node_id
from flyte_nb.propeller.plan import NodePlan, WorkflowPlan
from flyte_nb.propeller.state import NodeState, WorkflowRun

_START_PLAN = NodePlan(START_NODE, nodes.START_KIND, START_NODE)


def run_of(
    known: dict[str, NodeState],
    parent: "NodeState | None",
    plan: WorkflowPlan,
    workflows: Mapping[str, WorkflowPlan],
    scope: "WorkflowRun | None" = None,
) -> WorkflowRun:
    """Make a run with its nodes, and put them into `known`.

    Args:
        known: Every node of the execution so far, by its id.
        parent: The node that the run belongs to; `None` for the execution's own workflow.
        plan: What is run.
        workflows: The closure that the plan is from.
        scope: The run whose nodes the promises in here name, as for `WorkflowRun`. A run with a scope of
            its own has a start node.
    """
    run = WorkflowRun(parent, plan, workflows, scope)
    # An arm and a failure node take their inputs from the run around them, so they have no start node.
    plans = plan.nodes.values() if scope else (_START_PLAN, *plan.nodes.values())
    parent_id = parent.node_id if parent else ""
    for node_plan in plans:
        node_id = unique_node_id(parent_id, run.parent_attempt, node_plan.id)
        # `n1-0-n0` is the id of `n0` inside `n1`, and an author may have called a node just that.
        if node_id in known:
            node_id = _further_id(known, parent_id, run.parent_attempt, node_plan.id)
        node = NodeState(node_plan, run, node_id)
        run.nodes[node_plan.id] = node
        known[node_id] = node
    return run


def _further_id(
    known: Mapping[str, NodeState], parent_id: str, attempt: int, template_id: str
) -> str:
    """Return an id that no other node of this execution has, the same at every replay."""
    further = (further_node_id(parent_id, attempt, template_id, number) for number in count(1))
    return next(node_id for node_id in further if node_id not in known)
