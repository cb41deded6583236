"""The container that a task's attempt runs: the task's own, or the primary one of its pod. Pure.

Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/pod_helper.go at v1.16.8.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyteidl.core.tasks_pb2 import Container, DataLoadingConfig, Resources, TaskTemplate
from google.protobuf.json_format import MessageToDict

from flyte_nb.api.errors import USER, ErrorInfo, TaskFailed
from flyte_nb.propeller.foreign.runnable import why_not_here

PRIMARY = "primary_container_name"
"""The key of a task's config that names the container of its pod which is the task."""

_REFERENCE = re.compile(r"\$\$|\$\((?P<name>[-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_RESOURCE_NAMES = {
    Resources.CPU: "cpu",
    Resources.MEMORY: "memory",
    Resources.STORAGE: "storage",
    Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
    Resources.GPU: "nvidia.com/gpu",
}


class Program(NamedTuple):
    """What one attempt at a task runs. Templates in `command` and `args` are not filled in yet."""

    image: str
    command: "tuple[str, ...]" = ()
    """Takes the place of the image's entry point."""
    args: "tuple[str, ...]" = ()
    env: "tuple[tuple[str, str], ...]" = ()
    folder: str = ""
    """The working folder inside of the image; empty for the image's own."""
    limits: "tuple[tuple[str, str], ...]" = ()
    """What it may use, by Kubernetes' names: `(("memory", "1Gi"),)`."""
    requests: "tuple[tuple[str, str], ...]" = ()
    """What it needs, likewise."""
    data: "DataLoadingConfig | None" = None
    """How inputs and outputs are passed as files; `None` when the command does that itself."""
    left_out: "tuple[str, ...]" = ()
    """What the pod has beside it, and this machine does not run."""


def program_of(task: TaskTemplate) -> Program:
    """Return the container that runs the task.

    Raises:
        TaskFailed: when the task has none, or its pod does not say which one is the task.
    """
    target = task.WhichOneof("target")
    if target == "container":
        return _of_container(task.container)
    if target == "k8s_pod":
        return _of_pod(task)
    why_not = why_not_here(task) or f"The task {task.id.name} has no container."
    raise bad_specification(why_not)


def expanded(words: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    """Return the words with `$(NAME)` replaced as Kubernetes does it; `$$` stands for one `$`.

    A name that is no variable stays as it is, so `sh -c "echo $(date)"` reaches the shell.
    """

    def value(match: "re.Match[str]") -> str:
        name = match["name"]
        return "$" if name is None else variables.get(name, match[0])

    return [_REFERENCE.sub(value, word) for word in words]


def variables_of(task: TaskTemplate) -> "dict[str, str]":
    """Return the variables that the author of the task gave it; none for a task without a container."""
    try:
        return dict(program_of(task).env)
    except TaskFailed:
        return {}


def no_command(task: str, why_no_image: str = "this machine runs no images") -> TaskFailed:
    """Return the error of a task without a command, whose image is not used."""
    return bad_specification(
        f"The container of {task} has no command. Its image may have one, but {why_no_image}."
        " Start podman or docker, or give the task a command."
    )


def bad_specification(text: str) -> TaskFailed:
    """Return the error of a task that cannot be run as it was registered."""
    return TaskFailed(ErrorInfo("BadTaskSpecification", text, USER))


def _of_container(container: Container) -> Program:
    return Program(
        image=container.image,
        command=tuple(container.command),
        args=tuple(container.args),
        env=tuple((pair.key, pair.value) for pair in container.env),
        limits=_named(container.resources.limits),
        requests=_named(container.resources.requests),
        data=_enabled(container.data_config),
    )


def _of_pod(task: TaskTemplate) -> Program:
    pod = task.k8s_pod
    if PRIMARY not in task.config:
        raise bad_specification(
            f"invalid TaskSpecification, config missing [{PRIMARY}] key in [{dict(task.config)}]"
        )
    primary = task.config[PRIMARY]
    spec: dict[str, object] = MessageToDict(pod.pod_spec)
    containers = [each for each in _list(spec, "containers") if isinstance(each, Mapping)]
    found = next((each for each in containers if each.get("name") == primary), None)
    if found is None:
        raise bad_specification(
            f"invalid TaskSpecification, primary container [{primary}] not defined"
        )
    resources = found.get("resources")
    resources = resources if isinstance(resources, Mapping) else {}
    variables = [each for each in _list(found, "env") if isinstance(each, Mapping)]
    return Program(
        image=str(found.get("image", "")),
        command=tuple(map(str, _list(found, "command"))),
        args=tuple(map(str, _list(found, "args"))),
        env=tuple(
            (str(each.get("name", "")), str(each.get("value", "")))
            for each in variables
            # Such a value is in a secret or in a field of the pod, which only a cluster has.
            if "valueFrom" not in each
        ),
        folder=str(found.get("workingDir", "")),
        limits=_quantities(resources.get("limits")),
        requests=_quantities(resources.get("requests")),
        data=_enabled(pod.data_config),
        left_out=_left_out(spec, found, containers, variables),
    )


def _left_out(
    spec: "Mapping[str, object]",
    primary: "Mapping[str, object]",
    containers: "list[Mapping[str, object]]",
    variables: "list[Mapping[str, object]]",
) -> "tuple[str, ...]":
    """Return what of a pod runs or exists on a cluster only, each as a few words."""
    beside = [f"the container {each.get('name', '')}" for each in containers if each is not primary]
    first = [
        f"the init container {each.get('name', '')}"
        for each in _list(spec, "initContainers")
        if isinstance(each, Mapping)
    ]
    mounts = [
        f"the volume {each.get('name', '')} at {each.get('mountPath', '')}"
        for each in _list(primary, "volumeMounts")
        if isinstance(each, Mapping)
    ]
    unknown = [
        f"the variable {each.get('name', '')}, whose value the cluster has"
        for each in variables
        if "valueFrom" in each
    ]
    sources = ["envFrom"] if _list(primary, "envFrom") else []
    return (*first, *beside, *mounts, *unknown, *sources)


def _list(holder: "Mapping[str, object]", name: str) -> "list[object]":
    """Return the list of that name. The spec is any JSON, so what is not a list counts as none."""
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, list) else []


def _named(entries: "Iterable[Resources.ResourceEntry]") -> "tuple[tuple[str, str], ...]":
    return tuple(
        (_RESOURCE_NAMES[entry.name], entry.value)
        for entry in entries
        if entry.name in _RESOURCE_NAMES
    )


def _quantities(amounts: object) -> "tuple[tuple[str, str], ...]":
    if not isinstance(amounts, Mapping):
        return ()
    return tuple((str(name), _quantity(value)) for name, value in amounts.items())


def _quantity(value: object) -> str:
    # A Struct has only floats: `cpu: 2` is read as 2.0.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _enabled(config: DataLoadingConfig) -> "DataLoadingConfig | None":
    return config if config.enabled else None
