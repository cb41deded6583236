"""Compile workflow templates: return the compiled closure, or raise with every problem at once.

Source: flytepropeller/pkg/compiler/workflow_compiler.go at v1.16.8. The closures are equal to
Flyte's as messages; `tests/compiler/test_compiler_vectors.py` compares them with Flyte's own
results.
"""

from collections.abc import Iterable, Mapping

from flyteidl.core import compiler_pb2, workflow_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.builder import BOTH, UPSTREAM, Builder, CheckedNode
from flyte_nb.compiler.casting import TooComplex
from flyte_nb.compiler.collector import Collector, TooManyProblems, cut
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.inner_ids import check_inner_ids
from flyte_nb.compiler.interfaces import check_interface
from flyte_nb.compiler.nodes import add_node_edges, check_node
from flyte_nb.compiler.program import (
    Interface,
    LaunchPlanInterface,
    Program,
    identifier_text,
    interface_of,
    key,
)
from flyte_nb.compiler.reachability import check_reachable
from flyte_nb.compiler.requirements import (
    ReadWorkflow,
    Requirements,
    find_requirements,
    read_workflow,
)

Closure = compiler_pb2.CompiledWorkflowClosure


def compile_workflow(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: "Iterable[workflow_pb2.WorkflowTemplate]" = (),
    tasks: "Iterable[compiler_pb2.CompiledTask]" = (),
    launch_plans: "Mapping[str, LaunchPlanInterface] | None" = None,
) -> Closure:
    """Return the workflow's compiled closure.

    The arguments are not changed. The closure has the tasks in the given order, each once, and the
    sub-workflows in the given order.

    Args:
        template: the workflow.
        sub_workflows: every workflow that runs inside it, at any depth.
        tasks: every task that any of these workflows runs; others may be among them.
        launch_plans: the interface of every launch plan that they start, by
            `program.identifier_text(id)` (`launch_plan:project:domain:name:version`).

    Raises:
        CompileFailed: when anything is wrong; it has every problem that was found.
    """
    errors = Collector(template.id.name)
    closure = Closure()
    try:
        # Problems of the parts (a missing id) end the work here: nodes refer to the parts by these
        # ids, so everything that follows would be reported wrong as well.
        _fill(closure, template, sub_workflows, tasks, errors)
        if not errors.count:
            _compile(closure, launch_plans or {}, errors)
    # protobuf refuses to write or read more than 100 nested messages, and Python's own walks over
    # such a message exceed the recursion limit. Both mean the same to the author.
    except (RecursionError, EncodeError, DecodeError):
        errors.add(shape_problems.too_deep("workflow"))
    except TooComplex:
        errors.add(shape_problems.too_complex())
    except TooManyProblems:
        pass
    _refuse(template, errors)
    return closure


def _refuse(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    """Raise `CompileFailed` when there are problems."""
    if errors.count:
        name = cut(template.id.name, 200) or "The workflow"
        raise CompileFailed(f"{name} does not compile.", errors.problems)


def requirements(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: "Iterable[workflow_pb2.WorkflowTemplate]" = (),
) -> Requirements:
    """Return the tasks and launch plans that `compile_workflow` needs for this workflow, sorted by id.

    Raises:
        CompileFailed: when a sub-workflow is missing, is given twice, or contains itself.
    """
    errors = Collector(template.id.name)
    found = Requirements((), (), ())
    try:
        found = find_requirements(read_workflow(template), _by_key(sub_workflows, errors), errors)
    except (RecursionError, EncodeError):
        errors.add(shape_problems.too_deep("workflow"))
    except TooManyProblems:
        pass
    _refuse(template, errors)
    return found


def _fill(
    closure: Closure,
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: "Iterable[workflow_pb2.WorkflowTemplate]",
    tasks: "Iterable[compiler_pb2.CompiledTask]",
    errors: Collector,
) -> None:
    """Copy the workflow and its parts into the closure, where the compiler changes them in place."""
    closure.primary.SetInParent()
    _copy(template, closure.primary.template)
    for workflow in sub_workflows:
        if not workflow.HasField("id"):
            errors.add(
                shape_problems.value_required("root", "Template.Id", "A sub-workflow has no id.")
            )
        _copy(workflow, closure.sub_workflows.add().template)
    seen: set[bytes] = set()
    for task in tasks:
        if not task.template.HasField("id"):
            errors.add(shape_problems.value_required("task", "Template.Id", "A task has no id."))
        reference = key(task.template.id)
        if reference not in seen:
            seen.add(reference)
            closure.tasks.add().template.MergeFromString(task.template.SerializeToString())


def _copy(workflow: workflow_pb2.WorkflowTemplate, copy: workflow_pb2.WorkflowTemplate) -> None:
    """Fill `copy` with the workflow, with the start and the end node in front of its own nodes."""
    copy.nodes.add(id=START_NODE)
    copy.nodes.add(id=END_NODE)
    # Through bytes, because they refuse a message that is nested too deeply to be sent; `CopyFrom` does not.
    copy.MergeFromString(workflow.SerializeToString())


def _compile(
    closure: Closure, launch_plans: "Mapping[str, LaunchPlanInterface]", errors: Collector
) -> None:
    """Compile the primary workflow and every sub-workflow that it uses, inside the closure."""
    workflows = _by_key((workflow.template for workflow in closure.sub_workflows), errors)
    if errors.count:
        return
    program = Program(closure.tasks, closure.sub_workflows, launch_plans)
    primary = read_workflow(closure.primary.template)
    needed = find_requirements(primary, workflows, errors)
    _check_requirements(needed, program, errors)
    if errors.count:
        return
    check_inner_ids(primary, workflows, errors)
    # Inner workflows come first, and each is compiled once, so that compiling one never recurses into
    # another.
    used = {key(use.identifier): use for use in needed.workflows}
    for reference, use in used.items():
        errors.entity = use.identifier.name
        check_inner_ids(workflows[reference], workflows, errors)
        _compile_one(program.workflows[reference], workflows[reference], program, errors)
    errors.entity = closure.primary.template.id.name
    _compile_one(closure.primary, primary, program, errors)
    for reference, workflow in program.workflows.items():
        if reference not in used:
            # Flyte does not compile a sub-workflow that nothing runs; it returns it as it was given.
            # So the start and the end node that `_copy` added are taken out again.
            del workflow.template.nodes[:2]


def _by_key(
    templates: "Iterable[workflow_pb2.WorkflowTemplate]", errors: Collector
) -> "dict[bytes, ReadWorkflow]":
    """Return the workflows by key, and report ids that occur twice."""
    found: dict[bytes, ReadWorkflow] = {}
    for template in templates:
        reference = key(template.id)
        if reference in found:
            errors.add(shape_problems.duplicate_workflow(template.id, template.id.name))
        found[reference] = read_workflow(template)
    return found


def _check_requirements(needed: Requirements, program: Program, errors: Collector) -> None:
    """Report the launch plans and tasks that are used and were not given."""
    for use in needed.launch_plans:
        if identifier_text(use.identifier) not in program.launch_plans:
            problem = shape_problems.workflow_not_found(
                use.node_id, use.identifier, use.identifier.name, "launch plan"
            )
            errors.add(problem._replace(entity=use.entity))
    for use in needed.tasks:
        if key(use.identifier) not in program.tasks:
            problem = shape_problems.task_not_found(
                use.node_id, use.identifier, use.identifier.name
            )
            errors.add(problem._replace(entity=use.entity))


def _compile_one(
    compiled: compiler_pb2.CompiledWorkflow,
    workflow: ReadWorkflow,
    program: Program,
    errors: Collector,
) -> None:
    """Compile one workflow: check its nodes, their bindings and conditions, then write its connections."""
    template = compiled.template
    start, end, *nodes = workflow.nodes
    if not nodes:
        errors.add(
            shape_problems.no_nodes(go_text(template.id) if template.HasField("id") else "<nil>")
        )
        return
    # Each step needs the one before: nodes need the workflow's interface, edges need the nodes'
    # interfaces, and only complete edges show which nodes are orphans or cannot be reached.
    builder = Builder(compiled, program, errors)
    builder.interface = program.of_workflow(template)
    if builder.interface.broken:
        check_interface(builder, START_NODE, builder.interface)
        return
    # Seen from inside, the start node makes the workflow's inputs and the end node takes its
    # outputs. So a promise of an input, and the binding of an output, are checked like any other.
    start.outputs = builder.interface.inputs
    start.interface = Interface({}, builder.interface.inputs)
    end.interface = interface_of(builder.interface.outputs, {})
    end.message.inputs.extend(template.outputs)
    builder.nodes = {START_NODE: start, END_NODE: end}
    _add_nodes(builder, nodes)
    for node_id in sorted(builder.nodes):
        if node_id != START_NODE:
            add_node_edges(builder, builder.nodes[node_id], BOTH)
    if template.HasField("failure_node"):
        # The failure node may use every node's results and nothing waits for it: it is checked
        # after the others, and its edges go into the upstream map alone.
        failure = CheckedNode(template.failure_node)
        check_node(builder, failure)
        add_node_edges(builder, failure, UPSTREAM)
    # Checking the end node's bindings wrote `start-node` where a promise had no node id. The workflow's
    # own outputs are the same bindings and must say the same.
    del template.outputs[:]
    template.outputs.extend(end.message.inputs)
    _connect_orphans(builder, nodes)
    builder.sort_edges()
    check_reachable(builder.nodes, builder.downstream, errors)
    builder.write_connections()


def _add_nodes(builder: Builder, nodes: "list[CheckedNode]") -> None:
    """Check each node. Of several nodes with the same id Flyte keeps the first and ignores the others."""
    first = dict(builder.nodes)
    for node in nodes:
        first.setdefault(node.id, node)
    builder.all_ids = frozenset(first)
    if len(first) < len(builder.template.nodes):
        _keep(builder.template, first.values())
    for node in nodes:
        builder.nodes.setdefault(node.id, node)
        check_node(builder, node)


def _keep(template: workflow_pb2.WorkflowTemplate, nodes: "Iterable[CheckedNode]") -> None:
    """Make these the only nodes of the template."""
    # Deleting from a repeated field leaves the old messages detached, and `extend` copies them. So
    # each node is pointed at its new message afterwards.
    messages = [node.message for node in nodes]
    del template.nodes[:]
    template.nodes.extend(messages)
    for node, message in zip(nodes, template.nodes, strict=True):
        node.message = message


def _connect_orphans(builder: Builder, nodes: "list[CheckedNode]") -> None:
    """Connect nodes that wait for nothing to the start, and nodes that nothing waits for to the end."""
    for node_id in sorted({node.id for node in nodes} - {START_NODE, END_NODE}):
        if node_id not in builder.upstream:
            builder.add_edges((START_NODE,), node_id)
        if node_id not in builder.downstream:
            builder.add_edges((node_id,), END_NODE)
