"""Compile task templates: check what a cluster would refuse, and return the compiled task.

Source: flytepropeller/pkg/compiler/task_compiler.go at v1.16.8.
"""

import re
from collections.abc import Iterable

from flyteidl.core import compiler_pb2, tasks_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.collector import Collector, TooManyProblems, cut
from flyte_nb.compiler.quantities import is_quantity
from flyte_nb.wire.structs import struct_from_idl

# RFC 1123, section 2.1, as Kubernetes applies it to the names of containers.
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def compile_task(template: tasks_pb2.TaskTemplate) -> compiler_pb2.CompiledTask:
    """Return the compiled task, which holds a copy of the template.

    Raises:
        CompileFailed: when anything is wrong; it has every problem that was found.
    """
    errors = Collector(template.id.name)
    compiled = compiler_pb2.CompiledTask()
    try:
        if not template.HasField("id"):
            errors.add(shape_problems.value_required("root", "Id", "The task has no id."))
        target = template.WhichOneof("target")
        if target == "container":
            _check_container(template, errors)
        elif target == "k8s_pod":
            _check_pod(template.k8s_pod, errors)
        compiled.template.MergeFromString(template.SerializeToString())
    except (RecursionError, EncodeError, DecodeError):
        errors.add(shape_problems.too_deep("task"))
    except TooManyProblems:
        pass
    if errors.count:
        name = cut(template.id.name, 200) or "The task"
        raise CompileFailed(f"{name} does not compile.", errors.problems)
    compiled.template.SetInParent()
    return compiled


def _check_container(template: tasks_pb2.TaskTemplate, errors: Collector) -> None:
    """Report a container that lacks a command or an image, and resources that cannot be read."""
    container = template.container
    has_variables = template.interface.inputs.variables or template.interface.outputs.variables
    # A task without inputs and outputs may run what the image itself starts.
    if has_variables and not container.command and not container.args:
        errors.add(
            shape_problems.value_required(
                "container",
                "command",
                "The container runs no command.",
                "A task with inputs or outputs needs a command or arguments that read and write them.",
            )
        )
    if not container.image:
        errors.add(
            shape_problems.value_required(
                "container",
                "image",
                "The container has no image.",
                'Set one: @task(container_image="…"), or FLYTE_INTERNAL_IMAGE.',
            )
        )
    _check_resources(container.resources.requests, "request", errors)
    _check_resources(container.resources.limits, "limit", errors)


def _check_resources(
    entries: "Iterable[tasks_pb2.Resources.ResourceEntry]", noun: str, errors: Collector
) -> None:
    """Report every request or limit (`noun`) that Kubernetes cannot read."""
    for entry in entries:
        if is_quantity(entry.value):
            continue
        # An unknown number comes from a later Flyte and is written as it is.
        names = tasks_pb2.Resources.ResourceName.DESCRIPTOR.values_by_number
        name = names[entry.name].name if entry.name in names else str(entry.name)
        errors.add(
            shape_problems.unrecognized_value(
                f"resources.{name}",
                entry.value,
                f"The {noun} for {name.lower()} is {entry.value!r}, which Kubernetes cannot read.",
                'Write e.g. "500m", "2" or "1Gi".',
            )
        )


def _check_pod(pod: tasks_pb2.K8sPod, errors: Collector) -> None:
    """Report a pod without a readable spec, and containers whose names Kubernetes refuses."""
    if not pod.HasField("pod_spec"):
        message, hint = (
            "The pod has no spec.",
            "Give it a container with the name of the task's primary container.",
        )
        errors.add(shape_problems.invalid_value("root", "k8s pod spec", message, hint))
        return
    try:
        spec = struct_from_idl(pod.pod_spec)
    except CodecError as error:
        errors.add(
            shape_problems.invalid_value(
                "root", "k8s pod spec", f"The pod spec cannot be decoded: {error}"
            )
        )
        return
    containers = spec.get("containers") or []
    wrong = _pod_mistake(containers)
    if wrong:
        errors.add(
            shape_problems.invalid_value(
                "root",
                "k8s pod spec",
                f"The pod spec is not valid: {wrong}.",
                "Write it as Kubernetes' PodSpec describes.",
            )
        )
        return
    for container in containers:
        name = container.get("name") or ""
        if not _DNS_LABEL.fullmatch(name):
            errors.add(
                shape_problems.invalid_value(
                    "root",
                    "k8s pod spec container name",
                    f"A container of the pod is called {name!r}.",
                    "Use lower-case letters, digits and '-', at most 63.",
                )
            )


def _pod_mistake(containers: object) -> str:
    """Return why these cannot be a pod's containers, or an empty text; only what names need is checked."""
    if not isinstance(containers, list):
        return "`containers` is not a list"
    if not all(isinstance(container, dict) for container in containers):
        return "a container is not an object"
    if not all(isinstance(container.get("name") or "", str) for container in containers):
        return "a container's name is not a string"
    return ""
