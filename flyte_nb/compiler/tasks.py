"""Task templates -> compiled tasks.

Source: flytepropeller/pkg/compiler/task_compiler.go at v1.16.8.
"""

import re
from collections.abc import Iterable
from typing import Any

from flyteidl.core import compiler_pb2, tasks_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.compiler import reports
from flyte_nb.compiler.problems import Collector, Enough, cut
from flyte_nb.compiler.quantities import is_quantity
from flyte_nb.wire.structs import struct_from_idl

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def compile_task(template: tasks_pb2.TaskTemplate) -> compiler_pb2.CompiledTask:
    """The compiled task: a copy of the template, when it is sound.

    Raises:
        CompileFailed: with every problem that was found.
    """
    errors = Collector(template.id.name)
    compiled = compiler_pb2.CompiledTask()
    try:
        if not template.HasField("id"):
            errors.add(reports.value_required("root", "Id", "The task has no id."))
        target = template.WhichOneof("target")
        if target == "container":
            _check_container(template, errors)
        elif target == "k8s_pod":
            _check_pod(template.k8s_pod, errors)
        compiled.template.MergeFromString(template.SerializeToString())
    except (RecursionError, EncodeError, DecodeError):
        errors.add(reports.too_deep("task"))
    except Enough:
        pass
    if errors.count:
        name = cut(template.id.name, 200) or "The task"
        raise CompileFailed(f"{name} does not compile.", errors.problems)
    compiled.template.SetInParent()
    return compiled


def _check_container(template: tasks_pb2.TaskTemplate, errors: Collector) -> None:
    container = template.container
    has_variables = template.interface.inputs.variables or template.interface.outputs.variables
    if has_variables and not container.command and not container.args:
        errors.add(
            reports.value_required(
                "container",
                "command",
                "The container runs no command.",
                "A task with inputs or outputs needs a command or arguments that read and write them.",
            )
        )
    if not container.image:
        errors.add(
            reports.value_required(
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
    for entry in entries:
        if is_quantity(entry.value):
            continue
        names = tasks_pb2.Resources.ResourceName.DESCRIPTOR.values_by_number
        name = names[entry.name].name if entry.name in names else str(entry.name)
        errors.add(
            reports.unrecognized_value(
                f"resources.{name}",
                entry.value,
                f"The {noun} for {name.lower()} is {entry.value!r}, which Kubernetes cannot read.",
                'Write e.g. "500m", "2" or "1Gi".',
            )
        )


def _check_pod(pod: tasks_pb2.K8sPod, errors: Collector) -> None:
    if not pod.HasField("pod_spec"):
        message, hint = (
            "The pod has no spec.",
            "Give it a container, named as the task's primary one.",
        )
        errors.add(reports.invalid_value("root", "k8s pod spec", message, hint))
        return
    try:
        spec = struct_from_idl(pod.pod_spec)
    except CodecError as error:
        errors.add(
            reports.invalid_value("root", "k8s pod spec", f"The pod spec is damaged: {error}")
        )
        return
    containers = spec.get("containers") or []
    wrong = _pod_mistake(containers)
    if wrong:
        errors.add(
            reports.invalid_value(
                "root",
                "k8s pod spec",
                f"The pod spec is not one: {wrong}.",
                "See Kubernetes' PodSpec.",
            )
        )
        return
    for container in containers:
        name = container.get("name") or ""
        if not _DNS_LABEL.fullmatch(name):
            errors.add(
                reports.invalid_value(
                    "root",
                    "k8s pod spec container name",
                    f"A container of the pod is called {name!r}.",
                    "Use lower-case letters, digits and '-', at most 63.",
                )
            )


def _pod_mistake(containers: Any) -> str:
    """What keeps these from being a pod's containers; only what names need is looked at."""
    if not isinstance(containers, list):
        return "`containers` is no list"
    if not all(isinstance(container, dict) for container in containers):
        return "a container is no object"
    if not all(isinstance(container.get("name") or "", str) for container in containers):
        return "a container's name is no text"
    return ""
