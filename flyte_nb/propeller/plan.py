"""The plan of an execution: a compiled closure as tables that the machine can walk over.

The plan is what never changes while the execution runs. It is made once for each launch, and it is
pure: it knows no phases, no values, and not where anything is stored. `state.NodeState` is the changing
counterpart.

What this engine cannot run is refused here, before anything is recorded, with every reason at once.
"""

import math
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure
from flyteidl.core.condition_pb2 import BooleanExpression
from flyteidl.core.literals_pb2 import Binding, Literal
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.workflow_pb2 import ArrayNode, Node, WorkflowMetadata

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, WORKFLOW, Identifier
from flyte_nb.api.nodes import (
    ARRAY_NODE,
    BRANCH_NODE,
    END_KIND,
    END_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    START_NODE,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.api.problems import Problem
from flyte_nb.propeller.gate_plans import GatePlan, gate_of
from flyte_nb.propeller.overrides import overridden
from flyte_nb.propeller.plan_facts import (
    aliases_of,
    arms_below,
    element_template,
    facts_of,
    key_of,
    optionals_of,
    promises_of,
    timeout_us_of,
    unbound,
)
from flyte_nb.wire.identifiers import identifier_from_idl


class NodePlan(NamedTuple):
    """One node of a template, with everything that does not change while it runs."""

    id: str
    kind: str
    """The kind of the node, from `api/nodes.py`."""
    name: str
    """`Node.metadata.name`, or the id when the author gave none."""
    bindings: tuple[Binding, ...] = ()
    promises: tuple[tuple[str, str, str], ...] = ()
    """Those of `bindings` that are a whole output: `(input, node, output)`, the node empty for the start."""
    optional: tuple[tuple[str, Literal], ...] = ()
    """Inputs that are not bound and may be None, each with the None that it gets."""
    aliases: tuple[tuple[str, str], ...] = ()
    """`(alias, output)`: other names under which promises may name an output."""
    upstream: tuple[str, ...] = ()
    """Ids of the nodes that must have ended before this one begins."""
    downstream: tuple[str, ...] = ()
    """Ids of the nodes that wait for this one."""
    task: "TaskTemplate | None" = None
    task_id: "Identifier | None" = None
    workflow: str = ""
    """Key of the sub-workflow in `ExecutionPlan.workflows`; empty for other nodes."""
    branch: "BranchPlan | None" = None
    gate: "GatePlan | None" = None
    launch_plan: "Identifier | None" = None
    """What the node launches as an execution of its own."""
    max_attempts: int = 1
    """How many attempts may fail by the user's fault: `retries` + 1."""
    timeout_us: int = 0
    """The time for one attempt; 0 means no limit. All attempts together may take twice that."""
    discoverable: bool = False
    """Whether the result is looked up in the catalog and kept there (`cache=True`)."""
    discovery_version: str = ""
    serializable: bool = False
    """Whether equal calls wait for the one that computes the result (`cache_serialize`)."""
    array: "ArrayPlan | None" = None


class ArrayPlan(NamedTuple):
    """What an array node (`map_task`) runs for every element of its input lists."""

    element: NodePlan
    """The node of one element; its id becomes `n0`, `n1`, …"""
    bound: frozenset[str] = frozenset()
    """Inputs that every element gets whole."""
    parallelism: int = 0
    """How many elements may run at a time; 0 means any number."""
    min_successes: "int | None" = None
    min_success_ratio: "float | None" = None
    run_all: bool = False
    """Whether the rest runs although too many have failed (`run_all_sub_nodes`)."""
    individual_inputs: bool = False
    """Whether each element gets an `inputs.pb` of its own; otherwise it finds its items in the lists."""

    def needed(self, size: int) -> int:
        """Return how many of `size` elements have to succeed."""
        if self.min_successes is not None:
            return self.min_successes
        if self.min_success_ratio is not None:
            return math.ceil(self.min_success_ratio * size)
        return size


class BranchPlan(NamedTuple):
    """The arms of a branch node. An `else` is the last arm, and has no condition."""

    arms: "tuple[tuple[BooleanExpression | None, NodePlan], ...]"
    error: str = ""
    """The author's message for the case that no arm is taken (`else_().fail(…)`)."""


class WorkflowPlan(NamedTuple):
    """One workflow template. `nodes` is in the template's order, without the start node."""

    nodes: dict[str, NodePlan]
    fail_immediately: bool = True
    failure: "NodePlan | None" = None
    """The failure node (`on_failure`), which runs when the workflow has failed. It is none of `nodes`."""


class ExecutionPlan(NamedTuple):
    """A whole closure: the primary workflow under the key `""`, each sub-workflow under its identifier."""

    workflows: dict[str, WorkflowPlan]
    workflow_id: Identifier


def plan_of(closure: CompiledWorkflowClosure) -> ExecutionPlan:
    """Return the plan of a compiled closure.

    Raises:
        CompileFailed: when the closure has nodes that this engine cannot run, or refers to something
        that is not in
            it. The exception has every problem.
    """
    maker = _Maker(closure)
    workflows = {"": maker.workflow(closure.primary)}
    for compiled in closure.sub_workflows:
        workflows[key_of(compiled.template.id)] = maker.workflow(compiled)
    template_id = closure.primary.template.id
    if maker.problems:
        raise CompileFailed(
            f"This engine cannot run the workflow {template_id.name}.", maker.problems
        )
    return ExecutionPlan(workflows, identifier_from_idl(template_id, WORKFLOW))


_UNSUPPORTED = {
    "array_node": "an array node inside of an array node",
    "sub_workflow": "a sub-workflow inside of an array node",
    "gate_node": "a gate node inside of an array node",
    "branch_node": "a branch inside of an array node",
    None: "a node without a task, workflow or branch",
}


class _Maker:
    """Makes the workflow plans of one closure, and collects the problems."""

    def __init__(self, closure: CompiledWorkflowClosure) -> None:
        self.tasks = {key_of(task.template.id): facts_of(task.template) for task in closure.tasks}
        self.workflows = {
            key_of(sub.template.id): optionals_of(sub.template.interface)
            for sub in closure.sub_workflows
        }
        self.problems: list[Problem] = []
        # The next three are of the workflow that is being made.
        self.entity = ""
        self.before: dict[str, set[str]] = {}
        self.after: dict[str, list[str]] = {}

    def workflow(self, compiled: CompiledWorkflow) -> WorkflowPlan:
        template = compiled.template
        self.entity = template.id.name
        self.connect(compiled)
        nodes = {node.id: self.node(node) for node in template.nodes if node.id != START_NODE}
        if END_NODE not in nodes:
            self.problem(
                "ValueRequired", "The workflow is not compiled: it has no end node.", END_NODE
            )
        fail_immediately = template.metadata.on_failure == WorkflowMetadata.FAIL_IMMEDIATELY
        failure = self.node(template.failure_node) if template.HasField("failure_node") else None
        return WorkflowPlan(nodes, fail_immediately, failure)

    def connect(self, compiled: CompiledWorkflow) -> None:
        """Find out for each node of the template which nodes it waits for, and which wait for it."""
        upstream = {node_id: set(ids.ids) for node_id, ids in compiled.connections.upstream.items()}
        known = {node.id for node in compiled.template.nodes} - {START_NODE}
        self.before = {node_id: upstream.get(node_id, set()) & known for node_id in known}
        for node in compiled.template.nodes:
            if node.HasField("branch_node"):
                # The node of an arm runs as soon as the arm is taken. So the branch waits for its
                # inputs too, though the compiler lists them at the arm's node.
                for arm in arms_below(node.branch_node):
                    self.before[node.id] |= upstream.get(arm.id, set()) & known
                self.before[node.id].discard(node.id)
        self.after = {node_id: [] for node_id in known}
        for node in compiled.template.nodes:
            for before in self.before.get(node.id, ()):
                self.after[before].append(node.id)

    def node(self, node: Node) -> NodePlan:
        target = node.WhichOneof("target")
        if target == "task_node":
            return self.task_node(node)
        if target == "branch_node":
            return self.branch_node(node)
        if target == "gate_node":
            return self.gate_node(node)
        if target == "array_node":
            return self.array_node(node)
        if target == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
            return self.workflow_node(node)
        if target == "workflow_node" and node.workflow_node.HasField("launchplan_ref"):
            return self.launch_plan_node(node)
        if node.id != END_NODE:
            self.unsupported(target, node.id)
        return self.bare(node, END_KIND)

    def bare(self, node: Node, kind: str) -> NodePlan:
        """Return the plan of a node with what every kind has."""
        id = node.id
        return NodePlan(
            id=id,
            kind=kind,
            name=node.metadata.name or id,
            bindings=tuple(node.inputs),
            aliases=aliases_of(node),
            upstream=tuple(self.before.get(id, ())),
            downstream=tuple(self.after.get(id, ())),
        )

    def task_node(self, node: Node) -> NodePlan:
        reference = node.task_node.reference_id
        facts = self.tasks.get(key_of(reference))
        if facts is None:
            text = f"The task {reference.name} is not in the compiled workflow."
            self.problem("TaskReferenceNotFound", text, node.id)
            return self.bare(node, TASK_NODE)
        id, metadata = node.id, node.metadata
        # A node's metadata has what `with_overrides` set at the call. Unset differs from false, so the
        # fields are asked for their presence.
        timeout_us, discoverable = facts.timeout_us, facts.discoverable
        serializable = facts.serializable
        if metadata.HasField("cache_serializable"):
            serializable = metadata.cache_serializable
        if metadata.HasField("timeout"):
            timeout_us = timeout_us_of(metadata.timeout)
        if metadata.HasField("cacheable"):
            discoverable = metadata.cacheable
        return NodePlan(
            id=id,
            kind=TASK_NODE,
            name=metadata.name or id,
            bindings=tuple(node.inputs),
            promises=promises_of(node),
            optional=unbound(node, facts.optionals),
            aliases=aliases_of(node),
            upstream=tuple(self.before.get(id, ())),
            downstream=tuple(self.after.get(id, ())),
            task=overridden(facts.task, node.task_node.overrides),
            task_id=facts.task_id,
            max_attempts=(metadata.retries.retries or facts.retries) + 1,
            timeout_us=timeout_us,
            discoverable=discoverable,
            discovery_version=metadata.cache_version or facts.discovery_version,
            serializable=discoverable and serializable,
        )

    def workflow_node(self, node: Node) -> NodePlan:
        reference = node.workflow_node.sub_workflow_ref
        key = key_of(reference)
        if key not in self.workflows:
            text = f"The sub-workflow {reference.name} is not in the compiled workflow."
            self.problem("WorkflowReferenceNotFound", text, node.id)
        optional = unbound(node, self.workflows.get(key, ()))
        return self.bare(node, WORKFLOW_NODE)._replace(workflow=key, optional=optional)

    def launch_plan_node(self, node: Node) -> NodePlan:
        reference = node.workflow_node.launchplan_ref
        # Inputs that are not bound get the launch plan's defaults when the execution is created.
        return self.bare(node, LAUNCH_PLAN_NODE)._replace(
            launch_plan=identifier_from_idl(reference, LAUNCH_PLAN),
            max_attempts=node.metadata.retries.retries + 1,
            timeout_us=timeout_us_of(node.metadata.timeout),
        )

    def branch_node(self, node: Node) -> NodePlan:
        block = node.branch_node.if_else
        arms: list[tuple[BooleanExpression | None, NodePlan]] = [
            (case.condition, self.node(case.then_node)) for case in (block.case, *block.other)
        ]
        if block.HasField("else_node"):
            arms.append((None, self.node(block.else_node)))
        branch = BranchPlan(tuple(arms), block.error.message)
        return self.bare(node, BRANCH_NODE)._replace(branch=branch)

    def gate_node(self, node: Node) -> NodePlan:
        gate = gate_of(node.gate_node)
        if gate is None:
            text = f"The gate node {node.id} has no condition: no signal, approval or duration."
            self.problem("NoConditionFound", text, node.id)
        return self.bare(node, GATE_NODE)._replace(
            gate=gate,
            max_attempts=node.metadata.retries.retries + 1,
            timeout_us=timeout_us_of(node.metadata.timeout),
        )

    def array_node(self, node: Node) -> NodePlan:
        array = node.array_node
        inner = Node()
        inner.CopyFrom(array.node)
        # The lists are resolved once, for the array node. An element takes its items from them.
        inner.id = node.id
        del inner.inputs[:]
        if inner.WhichOneof("target") == "task_node":
            element = self.task_node(inner)
        elif inner.workflow_node.HasField("launchplan_ref"):
            element = self.launch_plan_node(inner)
        else:
            what = inner.WhichOneof("target")
            self.unsupported("sub_workflow" if what == "workflow_node" else what, node.id)
            return self.bare(node, ARRAY_NODE)
        if element.task is not None:
            element = element._replace(task=element_template(element.task))
        criteria = array.WhichOneof("success_criteria")
        plan = ArrayPlan(
            element._replace(bindings=(), optional=(), upstream=(), downstream=()),
            frozenset(array.bound_inputs),
            array.parallelism,
            array.min_successes if criteria == "min_successes" else None,
            array.min_success_ratio if criteria == "min_success_ratio" else None,
            array.run_all_sub_nodes,
            array.data_mode == ArrayNode.INDIVIDUAL_INPUT_FILES,
        )
        timeout_us = timeout_us_of(node.metadata.timeout)
        return self.bare(node, ARRAY_NODE)._replace(array=plan, timeout_us=timeout_us)

    def unsupported(self, what: "str | None", node_id: str) -> None:
        kind = _UNSUPPORTED.get(what, str(what))
        self.problem(
            "UnsupportedNode",
            f"This engine does not run {kind}.",
            node_id,
            hint="It runs tasks, sub-workflows, launch plans, branches and gates. Run this workflow on a"
            " Flyte cluster.",
        )

    def problem(self, code: str, message: str, node_id: str, hint: str = "") -> None:
        self.problems.append(Problem(code, message, node_id, hint=hint, entity=self.entity))
