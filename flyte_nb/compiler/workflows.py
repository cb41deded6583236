"""Workflow templates -> the compiled closure, or every problem at once.

Source: flytepropeller/pkg/compiler/workflow_compiler.go at v1.16.8; results are equal as messages.
"""

from collections.abc import Iterable, Mapping

from flyteidl.core import compiler_pb2, workflow_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import reports
from flyte_nb.compiler.building import BOTH, UPSTREAM, Builder, NodeState
from flyte_nb.compiler.casting import TooIntricate
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.interfaces import check_interface
from flyte_nb.compiler.nodes import add_node_edges, check_node
from flyte_nb.compiler.problems import Collector, Enough, cut
from flyte_nb.compiler.program import (
    Interface,
    LaunchPlanInterface,
    Program,
    identifier_text,
    interface_of,
    key,
)
from flyte_nb.compiler.reachability import check_reachable
from flyte_nb.compiler.requirements import Reading, Requirements, find_requirements, read

Closure = compiler_pb2.CompiledWorkflowClosure


def compile_workflow(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: "Iterable[workflow_pb2.WorkflowTemplate]" = (),
    tasks: "Iterable[compiler_pb2.CompiledTask]" = (),
    launch_plans: "Mapping[str, LaunchPlanInterface] | None" = None,
) -> Closure:
    """The workflow's compiled closure.

    The arguments stay as they are. Tasks appear in the closure in the given order, each once;
    sub-workflows in the given order.

    Args:
        template: the workflow.
        sub_workflows: every workflow that runs inside it, and inside those.
        tasks: every task that any of them runs; others may be there too.
        launch_plans: the interface of every launch plan they start, by
            `program.identifier_text(id)` (`launch_plan:project:domain:name:version`).

    Raises:
        CompileFailed: with every problem that was found.
    """
    errors = Collector(template.id.name)
    closure = Closure()
    try:
        _fill(closure, template, sub_workflows, tasks, errors)
        if not errors.count:
            _compile(closure, launch_plans or {}, errors)
    except (RecursionError, EncodeError, DecodeError):
        errors.add(reports.too_deep("workflow"))
    except TooIntricate:
        errors.add(reports.too_intricate())
    except Enough:
        pass
    _refuse(template, errors)
    return closure


def _refuse(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    if errors.count:
        name = cut(template.id.name, 200) or "The workflow"
        raise CompileFailed(f"{name} does not compile.", errors.problems)


def requirements(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: "Iterable[workflow_pb2.WorkflowTemplate]" = (),
) -> Requirements:
    """The tasks and launch plans that must be given to `compile_workflow`, sorted by id.

    Raises:
        CompileFailed: when a sub-workflow is missing, given twice, or contains itself.
    """
    errors = Collector(template.id.name)
    found = Requirements((), (), ())
    try:
        found = find_requirements(read(template), _by_key(sub_workflows, errors), errors)
    except (RecursionError, EncodeError):
        errors.add(reports.too_deep("workflow"))
    except Enough:
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
    """Copy everything into the closure; its parts are then changed in place."""
    closure.primary.SetInParent()
    _copy(template, closure.primary.template)
    for workflow in sub_workflows:
        if not workflow.HasField("id"):
            errors.add(reports.value_required("root", "Template.Id", "A sub-workflow has no id."))
        _copy(workflow, closure.sub_workflows.add().template)
    seen: set[bytes] = set()
    for task in tasks:
        if not task.template.HasField("id"):
            errors.add(reports.value_required("task", "Template.Id", "A task has no id."))
        reference = key(task.template.id)
        if reference not in seen:
            seen.add(reference)
            closure.tasks.add().template.MergeFromString(task.template.SerializeToString())


def _copy(workflow: workflow_pb2.WorkflowTemplate, copy: workflow_pb2.WorkflowTemplate) -> None:
    """Fill the copy: the start and the end come before the workflow's own nodes."""
    copy.nodes.add(id=START_NODE)
    copy.nodes.add(id=END_NODE)
    # Through bytes, not by CopyFrom: that refuses what is nested too deeply to be sent.
    copy.MergeFromString(workflow.SerializeToString())


def _compile(
    closure: Closure, launch_plans: "Mapping[str, LaunchPlanInterface]", errors: Collector
) -> None:
    workflows = _by_key((workflow.template for workflow in closure.sub_workflows), errors)
    if errors.count:
        return
    program = Program(closure.tasks, closure.sub_workflows, launch_plans)
    primary = read(closure.primary.template)
    needed = find_requirements(primary, workflows, errors)
    _check_requirements(needed, program, errors)
    if errors.count:
        return
    # Inner ones first, each once: then no workflow is compiled within another.
    used = {key(use.identifier): use for use in needed.workflows}
    for reference, use in used.items():
        errors.entity = use.identifier.name
        _compile_one(program.workflows[reference], workflows[reference], program, errors)
    errors.entity = closure.primary.template.id.name
    _compile_one(closure.primary, primary, program, errors)
    for reference, workflow in program.workflows.items():
        if reference not in used:
            del workflow.template.nodes[:2]  # Flyte leaves what nobody runs as it is


def _by_key(
    templates: "Iterable[workflow_pb2.WorkflowTemplate]", errors: Collector
) -> "dict[bytes, Reading]":
    found: dict[bytes, Reading] = {}
    for template in templates:
        reference = key(template.id)
        if reference in found:
            errors.add(reports.duplicate_workflow(template.id, template.id.name))
        found[reference] = read(template)
    return found


def _check_requirements(needed: Requirements, program: Program, errors: Collector) -> None:
    for use in needed.launch_plans:
        if identifier_text(use.identifier) not in program.launch_plans:
            problem = reports.workflow_not_found(
                use.node_id, use.identifier, use.identifier.name, "launch plan"
            )
            errors.add(problem._replace(entity=use.entity))
    for use in needed.tasks:
        if key(use.identifier) not in program.tasks:
            problem = reports.task_not_found(use.node_id, use.identifier, use.identifier.name)
            errors.add(problem._replace(entity=use.entity))


def _compile_one(
    compiled: compiler_pb2.CompiledWorkflow, reading: Reading, program: Program, errors: Collector
) -> None:
    template = compiled.template
    start, end, *nodes = reading.nodes
    if not nodes:
        errors.add(reports.no_nodes(go_text(template.id) if template.HasField("id") else "<nil>"))
        return
    builder = Builder(compiled, program, errors)
    builder.interface = program.of_workflow(template)
    if builder.interface.broken:
        check_interface(builder, START_NODE, builder.interface)
        return
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
        failure = NodeState(template.failure_node)
        check_node(builder, failure)
        add_node_edges(builder, failure, UPSTREAM)
    # End node and workflow share their bindings, which name the start node by now.
    del template.outputs[:]
    template.outputs.extend(end.message.inputs)
    _connect_orphans(builder, nodes)
    builder.sort_edges()
    check_reachable(builder.nodes, builder.downstream, errors)
    builder.write_connections()


def _add_nodes(builder: Builder, nodes: "list[NodeState]") -> None:
    """Check each node. Of nodes with one id Flyte keeps the first, and ignores the others."""
    first = dict(builder.nodes)
    for node in nodes:
        first.setdefault(node.id, node)
    builder.all_ids = frozenset(first)
    if len(first) < len(builder.template.nodes):
        _keep(builder.template, first.values())
    for node in nodes:
        builder.nodes.setdefault(node.id, node)
        check_node(builder, node)


def _keep(template: workflow_pb2.WorkflowTemplate, nodes: "Iterable[NodeState]") -> None:
    """Let these be the template's nodes."""
    messages = [node.message for node in nodes]
    del template.nodes[:]
    template.nodes.extend(messages)
    for node, message in zip(nodes, template.nodes, strict=True):
        node.message = message


def _connect_orphans(builder: Builder, nodes: "list[NodeState]") -> None:
    """What waits for nothing waits for the start; what nothing waits for, the end waits for."""
    for node_id in sorted({node.id for node in nodes} - {START_NODE, END_NODE}):
        if node_id not in builder.upstream:
            builder.add_edges((START_NODE,), node_id)
        if node_id not in builder.downstream:
            builder.add_edges((node_id,), END_NODE)
