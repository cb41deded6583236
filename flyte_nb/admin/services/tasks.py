"""Register tasks. Source: flyteadmin/pkg/manager/impl/{task_manager,validation/task_validator}.go."""

import logging
from collections.abc import Iterable
from decimal import Decimal

from flyteidl.admin import task_pb2
from flyteidl.core import identifier_pb2, tasks_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.compiling import compiled_task
from flyte_nb.admin.enums import enum_text
from flyte_nb.admin.refused import invalid, missing
from flyte_nb.admin.service_parts import Noted, Parts, Rpcs
from flyte_nb.admin.services.rules import check_identifier, check_project_and_domain
from flyte_nb.admin.services.versions import content_digest, same_or_different
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.quantities import amount

_LOG = logging.getLogger(__name__)


class Tasks:
    """Serve CreateTask."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {"CreateTask": self._create}

    def _create(self, request: task_pb2.TaskCreateRequest) -> "task_pb2.TaskCreateResponse | Noted":
        self._check(request)
        template = request.spec.template
        template.id.CopyFrom(request.id)
        compiled = compiled_task(template)
        at_us = self._parts.clock()
        # Filled in place, because a constructor would copy the template once for each level.
        task = task_pb2.Task(
            id=request.id, short_description=request.spec.description.short_description
        )
        task.closure.compiled_task.CopyFrom(compiled)
        task.closure.created_at.CopyFrom(moments.stamp(at_us))
        with self._parts.database.write() as transaction:
            stored = self._parts.tasks.find_in(transaction, request.id)
            if stored is None:
                self._parts.tasks.add(
                    transaction,
                    request.id,
                    moments.text(at_us),
                    {
                        "digest": content_digest(compiled),
                        "message": task.SerializeToString(),
                        "type": template.type,
                        "short_description": task.short_description,
                    },
                )
                return self._noted(template)
        known = task_pb2.Task.FromString(stored.message).closure.compiled_task
        raise same_or_different(
            "task",
            request.id.name,
            stored=known,
            sent=compiled,
            is_same=content_digest(known) == content_digest(compiled),
        )

    def _noted(self, template: tasks_pb2.TaskTemplate) -> "task_pb2.TaskCreateResponse | Noted":
        """Return the answer, with a notice when the task cannot run here: another backend may run it."""
        why = self._parts.why_not(template)
        if not why:
            return task_pb2.TaskCreateResponse()
        _LOG.warning("registered, and cannot run here: %s", why)
        return Noted(task_pb2.TaskCreateResponse(), why)

    def _check(self, request: task_pb2.TaskCreateRequest) -> None:
        check_identifier(request.id, request.HasField("id"), identifier_pb2.TASK)
        check_project_and_domain(self._parts.projects, request.id.project, request.id.domain)
        if not request.spec.HasField("template"):
            raise missing("spec")
        template = request.spec.template
        if not template.type:
            raise missing("type")
        if not template.HasField("metadata"):
            raise missing("metadata")
        if template.metadata.HasField("runtime") and not template.metadata.runtime.version:
            raise missing("runtime version")
        if not template.HasField("interface"):
            raise missing("typed interface")
        target = template.WhichOneof("target")
        if target == "container":
            _check_container(request.id, template.container)
        elif target == "k8s_pod" and not template.k8s_pod.HasField("pod_spec"):
            raise invalid(
                "invalid TaskSpecification, pod tasks should specify their target as a K8sPod with a"
                " defined pod spec"
            )


def _check_container(task: identifier_pb2.Identifier, container: tasks_pb2.Container) -> None:
    """Raise unless the image is named and the resources are quantities, requests within limits.

    FlyteAdmin also has limits of the platform. There are none here: a machine gives what it has.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if not container.image:
        raise missing("image")
    limits = _quantities(task, container.resources.limits, "limit")
    for name, requested in _quantities(task, container.resources.requests, "request").items():
        limit = limits.get(name)
        if limit is not None and requested > limit:
            words = enum_text(tasks_pb2.Resources.ResourceName, name)
            raise invalid(
                f"Requested {words} default [{requested}] is greater than the limit [{limit}]."
                " Please fix your configuration"
            )


def _quantities(
    task: identifier_pb2.Identifier,
    entries: "Iterable[tasks_pb2.Resources.ResourceEntry]",
    what: str,
) -> "dict[int, Decimal]":
    """Return the amount of each resource; raise `Refused` when one comes twice or is no quantity."""
    found: dict[int, Decimal] = {}
    for entry in entries:
        name = enum_text(tasks_pb2.Resources.ResourceName, entry.name)
        if entry.name in found:
            raise invalid(f"can't specify {name} {what} for task [{go_text(task)}] multiple times")
        value = amount(entry.value)
        if value is None:
            raise invalid(
                f"Parsing of {name} {what} failed for value {entry.value[:200]} - reason quantities must"
                " match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'."
                " Please follow K8s conventions for resources"
                " https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"
            )
        found[entry.name] = value
    return found
