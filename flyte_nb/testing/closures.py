"""Make small compiled workflows by hand, for tests of what runs them.

Nodes pass integers: each task has the inputs that are bound and one output, `o0`.
"""

from collections.abc import Mapping, Sequence

from flyteidl.core import identifier_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure, ConnectionSet
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.literals_pb2 import BindingData, Literal, LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import INTEGER
from flyteidl.core.workflow_pb2 import Node, WorkflowMetadata, WorkflowTemplate

from flyte_nb.api.nodes import ADDED_NODES

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"


def task(
    name: str,
    inputs: Sequence[str] = (),
    *,
    retries: int = 0,
    timeout_s: float = 0.0,
    cache_version: str = "",
    cache_serialize: bool = False,
    args: Sequence[str] = (),
    command: Sequence[str] = (),
    env: "Mapping[str, str] | None" = None,
    outputs: Sequence[str] = ("o0",),
) -> TaskTemplate:
    """Return a task template.

    Args:
        name: The task's name.
        inputs: The names of its inputs.
        retries: How often a recoverable failure is tried again.
        timeout_s: How long an attempt may take; 0 for no limit.
        cache_version: Makes the task discoverable under this version; empty for no cache.
        cache_serialize: Whether equal executions compute one after the other.
        args: The container's arguments.
        command: The container's command.
        env: The container's environment variables.
        outputs: The names of its outputs.
    """
    template = TaskTemplate(type="python-task")
    _identify(template.id, identifier_pb2.TASK, name)
    for variable in inputs:
        template.interface.inputs.variables[variable].type.simple = INTEGER
    for variable in outputs:
        template.interface.outputs.variables[variable].type.simple = INTEGER
    template.metadata.retries.retries = retries
    template.metadata.timeout.FromMicroseconds(int(timeout_s * 1_000_000))
    template.metadata.discoverable = bool(cache_version)
    template.metadata.discovery_version = cache_version
    template.metadata.cache_serializable = cache_serialize
    template.container.image = "local"
    template.container.command.extend(command)
    template.container.args.extend(args)
    for key, value in (env or {}).items():
        template.container.env.add(key=key, value=value)
    return template


def node(
    id: str,
    target: "TaskTemplate | CompiledWorkflow | str",
    bindings: "Mapping[str, int | str | Sequence[int | str]] | None" = None,
    *,
    after: Sequence[str] = (),
) -> Node:
    """Return a node that runs a task or a sub-workflow, or starts a launch plan.

    Args:
        id: The node's id.
        target: What the node runs; the name of a launch plan.
        bindings: For each input an integer, a promise (`n0` or `n0.o1`; `.x` is the workflow's input `x`), or
            a list of these.
        after: Nodes that have to end before it, besides those whose outputs it takes.
    """
    made = bare_node(id, bindings, after=after)
    if isinstance(target, TaskTemplate):
        made.task_node.reference_id.CopyFrom(target.id)
        made.metadata.name = target.id.name
    elif isinstance(target, str):
        reference = made.workflow_node.launchplan_ref
        _identify(reference, identifier_pb2.LAUNCH_PLAN, target)
        made.metadata.name = target
    else:
        made.workflow_node.sub_workflow_ref.CopyFrom(target.template.id)
        made.metadata.name = target.template.id.name
    return made


def bare_node(
    id: str,
    bindings: "Mapping[str, int | str | Sequence[int | str]] | None" = None,
    *,
    after: Sequence[str] = (),
) -> Node:
    """Return a node without a target, with inputs as `node` takes them."""
    made = Node(id=id, upstream_node_ids=sorted(after))
    for variable, bound in (bindings or {}).items():
        _bind(made.inputs.add(var=variable).binding, bound)
    return made


def gate(
    id: str,
    signal: str = "",
    *,
    approves: "int | str | None" = None,
    sleep_s: float = 0.0,
    timeout_s: float = 0.0,
    retries: int = 0,
    after: Sequence[str] = (),
) -> Node:
    """Return a gate node: an approval, an integer that is waited for, or a sleep.

    Args:
        id: The node's id.
        signal: The signal that opens it; empty for a sleep.
        approves: What is approved, as `node` takes its bindings; `None` for a gate that waits for an integer.
        sleep_s: How long it sleeps, in seconds.
        timeout_s: How long it waits at most, in seconds; 0 for no limit.
        retries: How often it waits again after that.
        after: Nodes that have to end before it, besides the one whose output is approved.
    """
    made = Node(id=id, upstream_node_ids=sorted(after))
    made.metadata.name = signal or "sleep-gate"
    made.metadata.retries.retries = retries
    if timeout_s:
        made.metadata.timeout.FromMicroseconds(int(timeout_s * 1_000_000))
    if approves is not None:
        made.gate_node.approve.signal_id = signal
        _bind(made.inputs.add(var="o0").binding, approves)
    elif signal:
        made.gate_node.signal.signal_id = signal
        made.gate_node.signal.type.simple = INTEGER
        made.gate_node.signal.output_variable_name = "o0"
    else:
        made.gate_node.sleep.duration.FromMicroseconds(int(sleep_s * 1_000_000))
    return made


def map_node(
    id: str,
    target: "TaskTemplate | str",
    bindings: "Mapping[str, int | str | Sequence[int | str]]",
    *,
    bound: Sequence[str] = (),
    parallelism: "int | None" = None,
    min_successes: "int | None" = None,
    min_success_ratio: "float | None" = None,
    run_all_sub_nodes: bool = False,
) -> Node:
    """Return an array node that runs a task, or starts a launch plan, for each element of its lists.

    Args:
        id: The node's id.
        target: What each element runs; the name of a launch plan.
        bindings: As `node` takes them.
        bound: Inputs that every element gets whole.
        parallelism: How many elements may run at a time.
        min_successes: How many elements have to succeed.
        min_success_ratio: Which share of them has to succeed.
        run_all_sub_nodes: Whether the rest still runs when too few can succeed.
    """
    made = Node(id=id)
    for variable, value in bindings.items():
        _bind(made.inputs.add(var=variable).binding, value)
    array = made.array_node
    array.node.CopyFrom(
        node(target if isinstance(target, str) else target.id.name, target, bindings)
    )
    array.bound_inputs.extend(bound)
    array.run_all_sub_nodes = run_all_sub_nodes
    if parallelism is not None:
        array.parallelism = parallelism
    if min_successes is not None:
        array.min_successes = min_successes
    elif min_success_ratio is not None:
        array.min_success_ratio = min_success_ratio
    return made


def workflow(
    name: str,
    nodes: Sequence[Node],
    outputs: "Mapping[str, int | str | Sequence[int | str]] | None" = None,
    *,
    inputs: Sequence[str] = (),
    fail_after: bool = False,
    on_failure: "Node | None" = None,
) -> CompiledWorkflow:
    """Return a compiled workflow: start and end nodes first, connections both ways.

    Args:
        name: The workflow's name.
        nodes: Its nodes.
        outputs: A binding for each output, written as `node` takes them.
        inputs: The names of its inputs.
        fail_after: Whether a failure lets the other nodes that can still run end first.
        on_failure: The failure node.
    """
    template = WorkflowTemplate()
    _identify(template.id, identifier_pb2.WORKFLOW, name)
    template.metadata.on_failure = (
        WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
        if fail_after
        else WorkflowMetadata.FAIL_IMMEDIATELY
    )
    for variable in inputs:
        template.interface.inputs.variables[variable].type.simple = INTEGER
    for variable in outputs or {}:
        template.interface.outputs.variables[variable].type.simple = INTEGER
    end = Node(id="end-node")
    for variable, bound in (outputs or {}).items():
        _bind(end.inputs.add(var=variable).binding, bound)
    template.nodes.extend([Node(id="start-node"), end, *nodes])
    template.outputs.extend(end.inputs)
    if on_failure is not None:
        template.failure_node.CopyFrom(on_failure)
    return CompiledWorkflow(template=template, connections=_connections(end, nodes))


def closure(
    primary: CompiledWorkflow,
    tasks: Sequence[TaskTemplate] = (),
    sub_workflows: Sequence[CompiledWorkflow] = (),
) -> CompiledWorkflowClosure:
    """Return the closure of a workflow, with the tasks and workflows that it refers to."""
    made = CompiledWorkflowClosure(primary=primary, sub_workflows=sub_workflows)
    for template in tasks:
        made.tasks.add(template=template)
    return made


def job(
    nodes: Sequence[Node],
    outputs: "Mapping[str, int | str | Sequence[int | str]] | None" = None,
    tasks: Sequence[TaskTemplate] = (),
    sub_workflows: Sequence[CompiledWorkflow] = (),
) -> DynamicJobSpec:
    """Return what a dynamic task writes as `futures.pb`.

    Args:
        nodes: The nodes that it made.
        outputs: A binding for each of its outputs, written as `node` takes them.
        tasks: What the nodes run.
        sub_workflows: Likewise.
    """
    made = DynamicJobSpec(nodes=nodes, tasks=tasks, min_successes=len(nodes))
    for sub in sub_workflows:
        template = made.subworkflows.add()
        template.CopyFrom(sub.template)
        # An author's template has neither: the compiler adds them.
        written = [node for node in template.nodes if node.id not in ADDED_NODES]
        del template.nodes[:]
        template.nodes.extend(written)
    for variable, bound in (outputs or {}).items():
        _bind(made.outputs.add(var=variable).binding, bound)
    return made


def chain(length: int, template: TaskTemplate) -> CompiledWorkflowClosure:
    """Return a workflow of `length` nodes in a row, each with the output of the one before as input `x`."""
    nodes = [
        node(f"n{index}", template, {"x": f"n{index - 1}" if index else ".x"})
        for index in range(length)
    ]
    return closure(workflow("chain", nodes, {"o0": nodes[-1].id}, inputs=["x"]), [template])


def integers(**values: int) -> LiteralMap:
    """Return a map of integer literals."""
    made = LiteralMap()
    for name, value in values.items():
        made.literals[name].scalar.primitive.integer = value
    return made


def integer(values: LiteralMap, name: str = "o0") -> int:
    """Return the integer of that name."""
    return int(values.literals[name].scalar.primitive.integer)


def literal(value: int) -> Literal:
    """Return an integer literal."""
    made = Literal()
    made.scalar.primitive.integer = value
    return made


def _connections(end: Node, nodes: Sequence[Node]) -> ConnectionSet:
    """Return who runs before whom, as Flyte's compiler writes it.

    A node without an upstream node follows the start node; a node that nothing follows precedes the end node.
    """
    upstream = {made.id: _promised(made) | set(made.upstream_node_ids) for made in [end, *nodes]}
    fed = set().union(*upstream.values())
    for made in nodes:
        if not upstream[made.id]:
            upstream[made.id].add("start-node")
        if made.id not in fed:
            upstream["end-node"].add(made.id)
    connections = ConnectionSet()
    for node_id, before in upstream.items():
        connections.upstream[node_id].ids.extend(sorted(before))
        for other in before:
            connections.downstream[other].ids.append(node_id)
    return connections


def _promised(made: Node) -> set[str]:
    """Return the ids of the nodes whose outputs the node takes, however deep in lists and maps."""
    found, open = set(), [binding.binding for binding in made.inputs]
    while open:
        data = open.pop()
        if data.HasField("promise"):
            found.add(data.promise.node_id)
        open.extend(data.collection.bindings)
        open.extend(data.map.bindings.values())
    return found


def _bind(data: BindingData, bound: "int | str | Sequence[int | str]") -> None:
    if isinstance(bound, int):
        data.scalar.primitive.integer = bound
    elif isinstance(bound, str):
        node_id, _, variable = bound.partition(".")
        data.promise.node_id = node_id or "start-node"
        data.promise.var = variable or "o0"
    else:
        data.collection.SetInParent()
        for item in bound:
            _bind(data.collection.bindings.add(), item)


def _identify(id: identifier_pb2.Identifier, resource_type: int, name: str) -> None:
    id.resource_type = resource_type  # type: ignore[assignment]
    id.project, id.domain, id.name, id.version = PROJECT, DOMAIN, name, VERSION
