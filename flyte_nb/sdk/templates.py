"""Make specs of entities: the plain data that is translated and registered."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.specs import Container, LaunchPlanSpec, Parameter, TaskMetadata, TaskTemplate
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.docstrings import clean
from flyte_nb.sdk.entity import identify
from flyte_nb.sdk.launch_plan import LaunchPlan

if TYPE_CHECKING:
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.task import AnyTask
    from flyte_nb.sdk.workflow import Trace, Workflow
    from flyte_nb.types.registry import Registry

IMAGE_VARIABLE = "FLYTE_INTERNAL_IMAGE"
"""The variable that names a dynamic task's image to it, because the tasks that it calls run in it too."""
MAP_TYPE_VERSION = 1
"""`task_type_version` of a task whose interface is lifted to lists."""


def task_template(
    task: "AnyTask",
    scope: Scope,
    registry: "Registry",
    *,
    version: str = "",
    container: "Container | None" = None,
    custom: "dict[str, Any] | None" = None,
    cache_version: str = "",
) -> TaskTemplate:
    """Return the task as it is registered.

    Args:
        task: the task.
        scope: project, domain and the notebook's name.
        registry: the types.
        version: the task's version; empty while it is not known.
        container: how it runs in a pod; image, environment and resources that it leaves empty are
            taken from the task's options.
        custom: free JSON for `TaskTemplate.custom`.
        cache_version: the cache version of a cached task that sets none, e.g. the fingerprint.

    Raises:
        CompileFailed: the task's signature has problems.
    """
    options = task.options
    metadata = TaskMetadata(
        retries=options.retries,
        timeout_s=options.timeout_s,
        discoverable=options.cache,
        discovery_version=(options.cache_version or cache_version) if options.cache else "",
        cache_serializable=options.cache_serialize,
        cache_ignore_input_vars=options.cache_ignore_input_vars,
        interruptible=options.interruptible,
        deprecated_error_message=options.deprecated,
        generates_deck=options.enable_deck,
        pod_template_name=options.pod_template_name,
        labels=options.labels,
        annotations=options.annotations,
    )
    return TaskTemplate(
        id=identify(task, scope, version),
        type=task.task_type,
        interface=task.signature(registry).interface,
        metadata=metadata,
        container=_container(task, container),
        custom={**task.custom, **(custom or {})},
        secrets=options.secret_requests,
        description=options.docs or clean(task.function.__doc__ or ""),
        task_type_version=0 if task.original is task else MAP_TYPE_VERSION,
    )


def workflow_template(
    workflow: "Workflow",
    scope: Scope,
    registry: "Registry",
    *,
    version: str = "",
    version_of: "Callable[[Definition], str]" = lambda entity: "",
    data: "DataAccess | None" = None,
) -> "Trace":
    """Trace the workflow, and return it as it is registered, with `version` in its identifier."""
    trace = workflow.trace(registry, scope, version_of, data=data)
    template = trace.template
    return trace._replace(template=template._replace(id=template.id._replace(version=version)))


def launch_plan_spec(
    entity: "LaunchPlan | Workflow",
    scope: Scope,
    registry: "Registry",
    *,
    version: str = "",
    workflow_version: str = "",
    data: "DataAccess | None" = None,
) -> LaunchPlanSpec:
    """Return a launch plan as it is registered; for a workflow, its default one, which has its name.

    Raises:
        CompileFailed: the signature of the workflow, or a default or fixed input has problems.
        CodecError: a default has to be stored and there is no `data`.
    """
    launch_plan = entity if isinstance(entity, LaunchPlan) else LaunchPlan(entity)
    workflow = launch_plan.workflow
    signature = launch_plan.signature(registry)
    fixed = {
        name: signature.input_codecs[name].encode(value, data)
        for name, value in launch_plan.fixed_inputs.items()
    }
    defaults = {}
    for name, variable in signature.interface.inputs.items():
        if name in fixed:
            continue
        default = None
        if name in signature.defaults:
            default = signature.input_codecs[name].encode(signature.defaults[name], data)
        defaults[name] = Parameter(variable, default)
    return LaunchPlanSpec(
        id=identify(launch_plan, scope, version),
        workflow_id=identify(workflow, scope, workflow_version),
        default_inputs=defaults,
        fixed_inputs=fixed,
        labels=launch_plan.labels,
        annotations=launch_plan.annotations,
        max_parallelism=launch_plan.max_parallelism,
        options=launch_plan.options,
    )


def _container(task: "AnyTask", container: "Container | None") -> "Container | None":
    if isinstance(task, TemplateTask):
        return task.container()
    if container is None:
        return None
    options = task.options
    image = options.container_image or container.image
    named = dict(container.env)
    if task.is_dynamic:
        named[IMAGE_VARIABLE] = image
    return container._replace(
        image=image,
        env=tuple({**named, **dict(options.environment)}.items()),
        requests=options.requests if any(options.requests) else container.requests,
        limits=options.limits if any(options.limits) else container.limits,
    )
