"""Apply what an author set at one call (`with_overrides`) to the template of its task. Pure.

Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/container_helper.go (MergeResources) at v1.16.8.
"""

from flyteidl.core.tasks_pb2 import Resources, TaskTemplate
from flyteidl.core.workflow_pb2 import TaskNodeOverrides


def overridden(task: TaskTemplate, overrides: TaskNodeOverrides) -> TaskTemplate:
    """Return the template with the resources, the image and the accelerator of the overrides.

    The task's own value of every resource that the overrides do not name stays. The template itself is
    returned when there is nothing to change.
    """
    if not overrides.ByteSize():
        return task
    changed = TaskTemplate()
    changed.CopyFrom(task)
    if changed.HasField("container"):
        container = changed.container
        container.image = overrides.container_image or container.image
        _merge(container.resources, overrides.resources)
    if overrides.HasField("extended_resources"):
        changed.extended_resources.CopyFrom(overrides.extended_resources)
    return changed


def _merge(own: Resources, over: Resources) -> None:
    for mine, others in ((own.requests, over.requests), (own.limits, over.limits)):
        named = {entry.name for entry in others}
        kept = [entry for entry in mine if entry.name not in named]
        merged = [*kept, *others]
        copies = [Resources.ResourceEntry(name=one.name, value=one.value) for one in merged]
        del mine[:]
        mine.extend(copies)
