"""Run the bodies of dynamic tasks in this process: real values in, the nodes that their calls made out."""

from typing import TYPE_CHECKING

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.specs import TaskTemplate
from flyte_nb.propeller.local_entities import LocalEntities
from flyte_nb.sdk.expansion import Expansion
from flyte_nb.sdk.task import AnyTask, Task
from flyte_nb.wire.dynamic import dynamic_job_to_idl
from flyte_nb.worker.dynamic import expanded, scope_of
from flyte_nb.worker.inner import InnerRunner
from flyte_nb.worker.steps import encode, signature_of

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry

_NONE = "unregistered"
"""The image and the command in the templates. A task in this process has neither, and the compiler asks for
both."""


def expand_here(
    task: Task,
    task_id: Identifier,
    inputs: dict[str, Literal],
    registry: "Registry",
    data: "DataAccess | None",
    runner: InnerRunner,
    entities: LocalEntities,
) -> "dict[str, Literal] | DynamicJobSpec":
    """Return the outputs of a dynamic task whose body called nothing, else the nodes that it made.

    Args:
        task: The dynamic task.
        task_id: Its identifier in this run.
        inputs: Its inputs.
        registry: Encodes and decodes values.
        data: Moves values that are files; `None` when there are none.
        runner: Its `context` is what `current_context()` returns.
        entities: Gets what the body calls.

    Raises:
        TaskFailed: for every failure except an interrupt of the process.
        CodecError: when a value cannot be turned into a message.
    """
    __tracebackhide__ = True
    scope = scope_of(task, task_id.name, task_id.project, task_id.domain)
    version_of = entities.versions(scope, task_id.version)
    found = expanded(task, inputs, registry, data, runner, scope, version_of)
    if found.job is None:
        return encode(task, signature_of(task, registry), found.value, data)
    entities.add(found.entities, found.launch_plans, scope, version_of)
    return dynamic_job_to_idl(found.job._replace(tasks=_whole(found, found.job.tasks, entities)))


def _whole(
    found: Expansion, templates: "tuple[TaskTemplate, ...]", entities: LocalEntities
) -> "tuple[TaskTemplate, ...]":
    """Return the templates with what the compiler and the cache need."""
    tasks = [task for task in found.entities if isinstance(task, AnyTask)]
    versions = entities.fingerprints(tasks)
    whole = []
    for template in templates:
        metadata = template.metadata
        if metadata.discoverable and not metadata.discovery_version:
            version = versions.get(template.id.name, "")
            metadata = metadata._replace(discoverable=bool(version), discovery_version=version)
        container = template.container
        if container is not None and not template.is_complete:
            container = container._replace(image=container.image or _NONE, args=(_NONE,))
        whole.append(template._replace(metadata=metadata, container=container))
    return tuple(whole)
