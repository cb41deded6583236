"""Compile what a `@dynamic` task wrote (`futures.pb`) into a closure of its own.

Source: flytepropeller/pkg/controller/nodes/dynamic/dynamic_workflow.go at v1.16.8.
"""

from collections.abc import Mapping

from flyteidl.core import (
    compiler_pb2,
    dynamic_job_pb2,
    identifier_pb2,
    tasks_pb2,
    workflow_pb2,
)
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.program import LaunchPlanInterface, key
from flyte_nb.compiler.tasks import compile_task
from flyte_nb.compiler.workflows import compile_workflow


def dynamic_identifier(
    project: str, domain: str, node_id: str, version: str
) -> identifier_pb2.Identifier:
    """Return the id of the workflow that a dynamic node becomes.

    Args:
        project: of the execution.
        domain: of the execution.
        node_id: the dynamic node.
        version: tells apart what several attempts wrote; Flyte takes ten random characters.
    """
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.WORKFLOW,
        project=project,
        domain=domain,
        name=f"dynamic_{node_id}",
        version=version,
    )


def dynamic_template(
    spec: dynamic_job_pb2.DynamicJobSpec,
    task: tasks_pb2.TaskTemplate,
    identifier: identifier_pb2.Identifier,
) -> workflow_pb2.WorkflowTemplate:
    """Return the workflow that the spec describes: no inputs, and the outputs of the dynamic task.

    Raises:
        CompileFailed: when the spec is nested too deeply.
    """
    template = workflow_pb2.WorkflowTemplate(id=identifier)
    try:
        template.interface.outputs.CopyFrom(task.interface.outputs)
        template.nodes.extend(spec.nodes)
        template.outputs.extend(spec.outputs)
    except (DecodeError, EncodeError):
        problem = shape_problems.too_deep("dynamic workflow")
        raise CompileFailed(f"{identifier.name} does not compile.", [problem]) from None
    return template


def compile_dynamic(
    spec: dynamic_job_pb2.DynamicJobSpec,
    task: tasks_pb2.TaskTemplate,
    identifier: identifier_pb2.Identifier,
    launch_plans: "Mapping[str, LaunchPlanInterface] | None" = None,
) -> compiler_pb2.CompiledWorkflowClosure:
    """Return the closure of the workflow that a dynamic task wrote.

    Args:
        spec: what the task wrote.
        task: the dynamic task. The workflow has its outputs, and the `config` of its container is
            passed on to the tasks inside.
        identifier: the workflow's id; see `dynamic_identifier`.
        launch_plans: as for `compile_workflow`.

    Raises:
        CompileFailed: with every problem of the tasks, or else every problem of the workflow.
    """
    tasks = dynamic_tasks(spec, task)
    template = dynamic_template(spec, task, identifier)
    return compile_workflow(template, spec.subworkflows, tasks, launch_plans)


def dynamic_tasks(
    spec: dynamic_job_pb2.DynamicJobSpec, task: tasks_pb2.TaskTemplate
) -> list[compiler_pb2.CompiledTask]:
    """Return the compiled tasks of the spec, each once.

    Args:
        spec: what the dynamic task wrote.
        task: the dynamic task.

    Raises:
        CompileFailed: with every problem of the tasks.
    """
    problems: list[Problem] = []
    compiled: dict[bytes, compiler_pb2.CompiledTask] = {}
    try:
        # A spec may have a task several times; the closure has it once.
        for inner in spec.tasks:
            reference = key(inner.id)
            if reference not in compiled:
                compiled[reference] = _compiled(inner, task, problems)
    except (DecodeError, EncodeError):
        problems.append(shape_problems.too_deep("dynamic workflow"))
    if problems:
        raise CompileFailed("Tasks of a dynamic workflow do not compile.", problems)
    return list(compiled.values())


def _compiled(
    inner: tasks_pb2.TaskTemplate, task: tasks_pb2.TaskTemplate, problems: "list[Problem]"
) -> compiler_pb2.CompiledTask:
    """Return the compiled task, or an empty one when it does not compile; then the problems were added."""
    try:
        compiled = compile_task(inner)
    except CompileFailed as failed:
        problems.extend(failed.problems)
        return compiler_pb2.CompiledTask()
    # Flyte runs the inner tasks with the configuration of the dynamic task's container.
    if compiled.template.HasField("container") and task.HasField("container"):
        compiled.template.container.config.extend(task.container.config)
    return compiled
