"""Make `futures.pb`, the workflow that a dynamic task built: complete its templates, compile it, write it.

It is compiled here, although propeller compiles it again, because the author sees an error of the task
then and not one of the platform. Only attempts of dynamic tasks import this module: the compiler and
protobuf take 100 ms.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flyteidl.core import interface_pb2

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier
from flyte_nb.api.index import TaskEntry
from flyte_nb.api.plain_specs import spec_from_plain
from flyte_nb.api.problems import as_text
from flyte_nb.api.references import replaced
from flyte_nb.api.specs import Container, DynamicJob, StartedLaunchPlan, TaskTemplate
from flyte_nb.bundle.command import task_args
from flyte_nb.compiler import LaunchPlanInterface, compile_dynamic, dynamic_identifier
from flyte_nb.pipe.pipe import PipeGarbage
from flyte_nb.sdk.templates import IMAGE_VARIABLE
from flyte_nb.wire.dynamic import dynamic_job_to_idl
from flyte_nb.wire.specs import task_spec_to_idl
from flyte_nb.wire.types import variable_to_idl


def futures(
    message: "Mapping[str, Any]",
    tasks: "Mapping[str, TaskEntry]",
    launch_plans: "Sequence[Identifier]",
    index_uri: str,
    env: "Mapping[str, str]",
) -> bytes:
    """Return the bytes of `futures.pb`.

    Args:
        message: The worker's `dynamic` message.
        tasks: The tasks in the bundle's index, by name.
        launch_plans: The launch plans in the index, as they were registered with the task.
        index_uri: The index. The tasks that are called are loaded from the same bundle.
        env: The attempt's variables, which name the image of the task that runs.

    Raises:
        TaskFailed: when the body calls a task or launch plan that the bundle does not have, when no
        image is known,
            or when the workflow does not compile. It names every problem.
        PipeGarbage: when the worker's message cannot be read.
    """
    job, own, started = _read(message)
    names = [_entry(job, template)[0] for template in job.tasks if not template.is_complete]
    missing = [name for name in names if name not in tasks]
    if missing:
        raise TaskFailed(_missing(own, missing, tasks))
    job, interfaces = _pinned(job, own, started, launch_plans)
    image = env.get(IMAGE_VARIABLE, "")
    job = job._replace(
        tasks=tuple(_whole(job, template, tasks, index_uri, image) for template in job.tasks)
    )
    spec = dynamic_job_to_idl(job)
    name = own.id.name.rpartition(".")[2]
    identifier = dynamic_identifier(own.id.project, own.id.domain, name, own.id.version)
    try:
        compile_dynamic(spec, task_spec_to_idl(own).template, identifier, interfaces)
    except CompileFailed as failed:
        text = as_text(failed.problems)
        message_text = f"The workflow that {own.id.name} builds does not compile.\n{text}"
        raise TaskFailed(ErrorInfo("USER:DynamicCompileFailed", message_text, USER)) from failed
    return spec.SerializeToString(deterministic=True)


def _entry(job: DynamicJob, template: TaskTemplate) -> "tuple[str, tuple[str, ...]]":
    """Return the name of a template's task in the index, and the inputs that are lists if it is a map."""
    return job.mapped.get(template.id.name, (template.id.name, ()))


def _read(
    message: "Mapping[str, Any]",
) -> "tuple[DynamicJob, TaskTemplate, tuple[StartedLaunchPlan, ...]]":
    try:
        job, own = spec_from_plain(message.get("job")), spec_from_plain(message.get("task"))
        started = spec_from_plain(message.get("launch_plans", []))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise PipeGarbage(
            f"The worker's dynamic job cannot be read: {type(error).__name__}: {error}.",
            code="SYSTEM:WorkerProtocol",
        ) from error
    is_known = isinstance(started, tuple) and all(isinstance(p, StartedLaunchPlan) for p in started)
    if not isinstance(job, DynamicJob) or not isinstance(own, TaskTemplate) or not is_known:
        raise PipeGarbage("The worker sent no dynamic job.", code="SYSTEM:WorkerProtocol")
    return job, own, started


def _pinned(
    job: DynamicJob,
    own: TaskTemplate,
    started: "Sequence[StartedLaunchPlan]",
    launch_plans: "Sequence[Identifier]",
) -> "tuple[DynamicJob, dict[str, LaunchPlanInterface]]":
    """Return the job with registered launch plans in it, and their interfaces by identifier.

    The body names a launch plan without a version. The one that was registered with the task is the one
    that runs.
    """
    if not started:
        return job, {}
    known = {
        id.name: id._replace(
            project=id.project or own.id.project, domain=id.domain or own.id.domain
        )
        for id in launch_plans
    }
    missing = [plan.name for plan in started if plan.name not in known]
    if missing:
        raise TaskFailed(_not_registered(own, missing))

    def registered(reference: Identifier) -> Identifier:
        is_plan = reference.resource_type == LAUNCH_PLAN
        return known.get(reference.name, reference) if is_plan else reference

    workflows = tuple(
        workflow._replace(
            nodes=replaced(workflow.nodes, registered),
            failure_node=replaced(workflow.failure_node, registered),
        )
        for workflow in job.sub_workflows
    )
    job = job._replace(nodes=replaced(job.nodes, registered), sub_workflows=workflows)
    return job, {str(known[plan.name]): launch_plan_interface(plan) for plan in started}


def launch_plan_interface(plan: StartedLaunchPlan) -> LaunchPlanInterface:
    """Return what the compiler has to know about a launch plan that a dynamic task starts."""
    inputs, outputs = interface_pb2.ParameterMap(), interface_pb2.VariableMap()
    for name, variable in plan.interface.inputs.items():
        inputs.parameters[name].var.CopyFrom(variable_to_idl(variable))
        inputs.parameters[name].required = name in plan.required
    for name, variable in plan.interface.outputs.items():
        outputs.variables[name].CopyFrom(variable_to_idl(variable))
    return LaunchPlanInterface(inputs, outputs)


def _whole(
    job: DynamicJob,
    template: TaskTemplate,
    tasks: "Mapping[str, TaskEntry]",
    index_uri: str,
    image: str,
) -> TaskTemplate:
    """Return the template with its container's command and image, and with a cache version.

    The worker does not know them: it has the ring only, and not the index.
    """
    if template.is_complete:
        return template
    name, mapped = _entry(job, template)
    container = template.container or Container("")
    chosen = container.image or image
    if not chosen:
        message = (
            f"The task {name} names no image, and the variable {IMAGE_VARIABLE} does not name the"
            " image of this task."
            " Write @task(container_image=…), or register again with this release."
        )
        raise TaskFailed(ErrorInfo("USER:DynamicImageMissing", message, USER))
    environment = dict(container.env)
    if IMAGE_VARIABLE in environment:
        # A dynamic task that this one calls needs the image for the tasks that it calls itself.
        environment[IMAGE_VARIABLE] = chosen
    metadata = template.metadata
    if metadata.discoverable and not metadata.discovery_version:
        metadata = metadata._replace(discovery_version=tasks[name].fingerprint)
    return template._replace(
        metadata=metadata,
        container=container._replace(
            image=chosen,
            args=task_args(name, index_uri, mapped),
            env=tuple(environment.items()),
        ),
    )


def _missing(
    own: TaskTemplate, missing: "list[str]", tasks: "Mapping[str, TaskEntry]"
) -> ErrorInfo:
    message = (
        f"{own.id.name} calls {', '.join(sorted(set(missing)))}, and its bundle does not have that. It has:"
        f" {', '.join(sorted(tasks))}. What a dynamic task calls is found by name when it is"
        " registered: define those tasks at the top of a cell or module, and register again."
    )
    return ErrorInfo("USER:DynamicTaskMissing", message, USER)


def _not_registered(own: TaskTemplate, missing: "list[str]") -> ErrorInfo:
    message = (
        f"{own.id.name} starts {', '.join(sorted(missing))}, which was not registered with it. What a"
        " dynamic task starts is found by name when it is registered: define those launch plans at the"
        " top of a cell or module, and register again with this release."
    )
    return ErrorInfo("USER:DynamicLaunchPlanMissing", message, USER)
