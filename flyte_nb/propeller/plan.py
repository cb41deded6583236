"""The static side of an execution: a compiled closure as tables the machine walks over.

Pure; made once a launch. It must not know phases, values or where anything is stored.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure
from flyteidl.core.condition_pb2 import BooleanExpression
from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import Binding, Literal
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import NONE, LiteralType
from flyteidl.core.workflow_pb2 import BranchNode, Node, WorkflowMetadata
from google.protobuf.duration_pb2 import Duration

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import TASK, WORKFLOW, Identifier
from flyte_nb.api.nodes import BRANCH_NODE, END_KIND, END_NODE, START_NODE, TASK_NODE, WORKFLOW_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.wire.identifiers import identifier_from_idl


class NodePlan(NamedTuple):
    """One node of a template, with everything that does not change while it runs."""

    id: str
    kind: str
    """One of the kinds in `records`."""
    name: str
    bindings: tuple[Binding, ...] = ()
    optional: tuple[tuple[str, Literal], ...] = ()
    """Inputs nobody bound, whose type has None as a variant, and the None they get."""
    aliases: tuple[tuple[str, str], ...] = ()
    """`(alias, output)`: other names under which promises may ask for an output."""
    upstream: tuple[str, ...] = ()
    """Ids of the nodes that must have ended before."""
    downstream: tuple[str, ...] = ()
    task: "TaskTemplate | None" = None
    task_id: "Identifier | None" = None
    workflow: str = ""
    """Key of the sub-workflow in `ExecutionPlan.workflows`."""
    branch: "BranchPlan | None" = None
    max_attempts: int = 1
    """Attempts that may fail by the user's fault (`retries` + 1)."""
    timeout_us: int = 0
    """For one attempt; 0 means none. All attempts together may take twice that."""
    discoverable: bool = False
    discovery_version: str = ""
    serializable: bool = False
    """Whether only one at a time computes a result that others wait for (`cache_serialize`)."""


class BranchPlan(NamedTuple):
    """The arms of a branch node. The last arm, without condition, is `else` if there is one."""

    arms: "tuple[tuple[BooleanExpression | None, NodePlan], ...]"
    error: str = ""
    """The author's message when no arm is taken (`else_().fail(…)`)."""


class WorkflowPlan(NamedTuple):
    """One workflow template. `nodes` is in the template's order, without the start node."""

    nodes: dict[str, NodePlan]
    fail_immediately: bool = True


class ExecutionPlan(NamedTuple):
    """A closure: its primary workflow (key `""`) and its sub-workflows by `key`."""

    workflows: dict[str, WorkflowPlan]
    workflow_id: Identifier


def plan_of(closure: CompiledWorkflowClosure) -> ExecutionPlan:
    """The plan of a compiled closure.

    Raises:
        CompileFailed: when it has something this engine cannot run, or a reference that is not in
            the closure; every reason is in it.
    """
    maker = _Maker(closure)
    workflows = {"": maker.workflow(closure.primary)}
    for compiled in closure.sub_workflows:
        workflows[_key(compiled.template.id)] = maker.workflow(compiled)
    template_id = closure.primary.template.id
    if maker.problems:
        raise CompileFailed(
            f"The workflow {template_id.name} cannot be run by this engine.", maker.problems
        )
    return ExecutionPlan(workflows, identifier_from_idl(template_id, WORKFLOW))


_UNSUPPORTED = {
    "launchplan_ref": "a node that launches another execution",
    "gate_node": "a gate node (approve, sleep, wait_for_input)",
    "array_node": "an array node (map_task)",
    "failure_node": "a failure node (on_failure)",
    None: "a node without a task, workflow or branch",
}


class _TaskFacts(NamedTuple):
    """What every node that runs a task takes over from it; read from the message once."""

    task: TaskTemplate
    task_id: Identifier
    retries: int
    timeout_us: int
    discoverable: bool
    discovery_version: str
    serializable: bool
    optionals: tuple[tuple[str, Literal], ...]


class _Maker:
    def __init__(self, closure: CompiledWorkflowClosure) -> None:
        self.tasks = {_key(task.template.id): _facts(task.template) for task in closure.tasks}
        self.workflows = {
            _key(sub.template.id): _optionals(sub.template.interface)
            for sub in closure.sub_workflows
        }
        self.problems: list[Problem] = []
        self.entity = ""
        self.before: dict[str, set[str]] = {}
        self.after: dict[str, list[str]] = {}

    def workflow(self, compiled: CompiledWorkflow) -> WorkflowPlan:
        template = compiled.template
        self.entity = template.id.name
        if template.HasField("failure_node"):
            self.unsupported("failure_node", template.failure_node.id)
        self.connect(compiled)
        nodes = {node.id: self.node(node) for node in template.nodes if node.id != START_NODE}
        if END_NODE not in nodes:
            self.problem(
                "ValueRequired", "The workflow is not compiled: it has no end node.", END_NODE
            )
        fail_immediately = template.metadata.on_failure == WorkflowMetadata.FAIL_IMMEDIATELY
        return WorkflowPlan(nodes, fail_immediately)

    def connect(self, compiled: CompiledWorkflow) -> None:
        """Say for each node of the template which ones it waits for, and which wait for it."""
        upstream = {node_id: set(ids.ids) for node_id, ids in compiled.connections.upstream.items()}
        known = {node.id for node in compiled.template.nodes} - {START_NODE}
        self.before = {node_id: upstream.get(node_id, set()) & known for node_id in known}
        for node in compiled.template.nodes:
            if node.HasField("branch_node"):
                # An arm's node runs as soon as it is chosen, so the branch waits for its inputs too.
                for arm in _arms_below(node.branch_node):
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
        if target == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
            return self.workflow_node(node)
        if node.id != END_NODE:
            self.unsupported("launchplan_ref" if target == "workflow_node" else target, node.id)
        return self.bare(node, END_KIND)

    def bare(self, node: Node, kind: str) -> NodePlan:
        id = node.id
        return NodePlan(
            id,
            kind,
            node.metadata.name or id,
            tuple(node.inputs),
            (),
            _aliases(node),
            tuple(self.before.get(id, ())),
            tuple(self.after.get(id, ())),
        )

    def task_node(self, node: Node) -> NodePlan:
        reference = node.task_node.reference_id
        facts = self.tasks.get(_key(reference))
        if facts is None:
            text = f"The task {reference.name} is not in the compiled workflow."
            self.problem("TaskReferenceNotFound", text, node.id)
            return self.bare(node, TASK_NODE)
        id, metadata = node.id, node.metadata
        timeout_us, discoverable = facts.timeout_us, facts.discoverable
        serializable = facts.serializable
        if metadata.HasField("cache_serializable"):
            serializable = metadata.cache_serializable
        if metadata.HasField("timeout"):
            timeout_us = _timeout_us(metadata.timeout)
        if metadata.HasField("cacheable"):
            discoverable = metadata.cacheable
        return NodePlan(
            id,
            TASK_NODE,
            metadata.name or id,
            tuple(node.inputs),
            _unbound(node, facts.optionals),
            _aliases(node),
            tuple(self.before.get(id, ())),
            tuple(self.after.get(id, ())),
            facts.task,
            facts.task_id,
            max_attempts=(metadata.retries.retries or facts.retries) + 1,
            timeout_us=timeout_us,
            discoverable=discoverable,
            discovery_version=metadata.cache_version or facts.discovery_version,
            serializable=discoverable and serializable,
        )

    def workflow_node(self, node: Node) -> NodePlan:
        reference = node.workflow_node.sub_workflow_ref
        key = _key(reference)
        if key not in self.workflows:
            text = f"The sub-workflow {reference.name} is not in the compiled workflow."
            self.problem("WorkflowReferenceNotFound", text, node.id)
        optional = _unbound(node, self.workflows.get(key, ()))
        return self.bare(node, WORKFLOW_NODE)._replace(workflow=key, optional=optional)

    def branch_node(self, node: Node) -> NodePlan:
        block = node.branch_node.if_else
        arms: list[tuple[BooleanExpression | None, NodePlan]] = [
            (case.condition, self.node(case.then_node)) for case in (block.case, *block.other)
        ]
        if block.HasField("else_node"):
            arms.append((None, self.node(block.else_node)))
        branch = BranchPlan(tuple(arms), block.error.message)
        return self.bare(node, BRANCH_NODE)._replace(branch=branch)

    def unsupported(self, what: "str | None", node_id: str) -> None:
        kind = _UNSUPPORTED.get(what, str(what))
        self.problem(
            "UnsupportedNode",
            f"This engine does not run {kind}.",
            node_id,
            hint="It runs tasks, sub-workflows and branches; run this one on a Flyte cluster.",
        )

    def problem(self, code: str, message: str, node_id: str, hint: str = "") -> None:
        self.problems.append(Problem(code, message, node_id, hint=hint, entity=self.entity))


def _arms_below(branch: BranchNode) -> Iterator[Node]:
    block = branch.if_else
    nodes = [block.case.then_node, *(case.then_node for case in block.other)]
    if block.HasField("else_node"):
        nodes.append(block.else_node)
    for node in nodes:
        yield node
        if node.HasField("branch_node"):
            yield from _arms_below(node.branch_node)


def _facts(task: TaskTemplate) -> _TaskFacts:
    metadata = task.metadata
    return _TaskFacts(
        task,
        identifier_from_idl(task.id, TASK),
        metadata.retries.retries,
        _timeout_us(metadata.timeout),
        metadata.discoverable,
        metadata.discovery_version,
        metadata.cache_serializable,
        _optionals(task.interface),
    )


def _timeout_us(timeout: Duration) -> int:
    """Return the timeout in microseconds; 0, which means none, where it is negative."""
    return max(0, int(timeout.seconds) * 1_000_000 + int(timeout.nanos) // 1000)


def _optionals(interface: TypedInterface) -> tuple[tuple[str, Literal], ...]:
    """Inputs whose type is a union with None, and the None that stands for them."""
    nones = ((name, _none_of(var.type)) for name, var in interface.inputs.variables.items())
    return tuple((name, none) for name, none in nones if none is not None)


def _unbound(
    node: Node, optionals: tuple[tuple[str, Literal], ...]
) -> tuple[tuple[str, Literal], ...]:
    """Those that nobody bound; the compiler lets them pass."""
    if not optionals:
        return ()
    bound = {binding.var for binding in node.inputs}
    return tuple(item for item in optionals if item[0] not in bound)


def _aliases(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple((alias.alias, alias.var) for alias in node.output_aliases)


def _none_of(type: LiteralType) -> "Literal | None":
    for variant in type.union_type.variants:
        if variant.WhichOneof("type") == "simple" and variant.simple == NONE:
            literal = Literal()
            literal.scalar.union.value.scalar.none_type.SetInParent()
            literal.scalar.union.type.CopyFrom(variant)
            return literal
    return None


def _key(id: IdentifierMessage) -> str:
    return f"{id.project}:{id.domain}:{id.name}:{id.version}"
