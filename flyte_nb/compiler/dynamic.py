"""What a `@dynamic` task wrote (`futures.pb`) -> a compiled closure.

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
from flyte_nb.compiler import reports
from flyte_nb.compiler.program import LaunchPlanInterface, key
from flyte_nb.compiler.tasks import compile_task
from flyte_nb.compiler.workflows import compile_workflow


def dynamic_identifier(
    project: str, domain: str, node_id: str, version: str
) -> identifier_pb2.Identifier:
    """The id of the workflow that a dynamic node becomes; Flyte's version is ten random characters."""
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
    """The workflow that the spec describes. It takes nothing and makes what the dynamic task makes."""
    template = workflow_pb2.WorkflowTemplate(id=identifier)
    template.interface.outputs.CopyFrom(task.interface.outputs)
    template.nodes.extend(spec.nodes)
    template.outputs.extend(spec.outputs)
    return template


def compile_dynamic(
    spec: dynamic_job_pb2.DynamicJobSpec,
    task: tasks_pb2.TaskTemplate,
    identifier: identifier_pb2.Identifier,
    launch_plans: "Mapping[str, LaunchPlanInterface] | None" = None,
) -> compiler_pb2.CompiledWorkflowClosure:
    """The closure of a dynamic node's own workflow.

    Args:
        spec: what the task wrote.
        task: the dynamic task; its outputs are the workflow's, and its container's `config` is
            handed down to the tasks inside.
        identifier: see `dynamic_identifier`.
        launch_plans: as for `compile_workflow`.

    Raises:
        CompileFailed: with every problem of its tasks, or else of its workflow.
    """
    problems: list[Problem] = []
    compiled: dict[bytes, compiler_pb2.CompiledTask] = {}
    try:
        template = dynamic_template(spec, task, identifier)
        for inner in spec.tasks:
            reference = key(inner.id)
            if reference not in compiled:
                compiled[reference] = _compiled(inner, task, problems)
    except (DecodeError, EncodeError):
        problems.append(reports.too_deep("dynamic workflow"))
    if problems:
        raise CompileFailed(f"{identifier.name} does not compile.", problems)
    return compile_workflow(template, spec.subworkflows, compiled.values(), launch_plans)


def _compiled(
    inner: tasks_pb2.TaskTemplate, task: tasks_pb2.TaskTemplate, problems: "list[Problem]"
) -> compiler_pb2.CompiledTask:
    try:
        compiled = compile_task(inner)
    except CompileFailed as failed:
        problems.extend(failed.problems)
        return compiler_pb2.CompiledTask()
    if compiled.template.HasField("container") and task.HasField("container"):
        compiled.template.container.config.extend(task.container.config)
    return compiled
