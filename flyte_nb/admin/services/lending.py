"""`/flyte_nb.Loans/Lend`: who is about to launch lends its secrets and its ways to stores.

It takes JSON in a `StringValue`: `execution` (`[project, domain, name]`), `entity`
(`[resource type, project, domain, name, version]`), and the objects `variables` and `secrets`, the
latter by names without a prefix. The answer's `wanted` are the secrets that the entity's tasks ask for,
each `[group, key, version]`: the client sends values for those it has, and no others. Nothing is kept
for an execution that there is already.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, tasks_pb2
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.lent import Lent, Loan
from flyte_nb.admin.refused import Refused, invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.installations import document_in, texts
from flyte_nb.admin.store.runs import Runs
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, ExecutionId

LEND = "/flyte_nb.Loans/Lend"

_MOST_BYTES = 1024 * 1024
_REMEMBERED = 256
_TYPES = {TASK: identifier_pb2.TASK, LAUNCH_PLAN: identifier_pb2.LAUNCH_PLAN}

Wanted = tuple[tuple[str, str, str], ...]
"""Group, key and version of each secret."""


class Lending:
    """Keeps loans until executions end."""

    def __init__(self, parts: Parts, lent: Lent) -> None:
        self._parts = parts
        self._lent = lent
        self._runs = Runs(parts.database)
        self._wanted: OrderedDict[bytes, Wanted] = OrderedDict()  # by what is launched

    def rpcs(self) -> Rpcs:
        """The calls of this service."""
        return {LEND: self._lend}

    def _lend(self, request: StringValue) -> StringValue:
        if len(request.value) > _MOST_BYTES:
            raise invalid("a loan has at most 1 MiB")
        document = document_in(request)
        execution = ExecutionId(*texts(document.get("execution"), 3, "execution"))
        kind, project, domain, name, version = texts(document.get("entity"), 5, "entity")
        if kind not in _TYPES:
            raise invalid(f"invalid value for entity: a {TASK} or a {LAUNCH_PLAN} is launched")
        loan = Loan(_pairs(document, "variables"), _pairs(document, "secrets"))
        wanted = self._wanted_by(
            identifier_pb2.Identifier(
                resource_type=_TYPES[kind],
                project=project,
                domain=domain,
                name=name,
                version=version,
            )
        )
        if not self._is_there(execution):
            # An empty one too: who has no credentials is not given those of the backend's starter.
            self._lent.put(execution, loan)
        return StringValue(value=json.dumps({"wanted": wanted}))

    def _is_there(self, id: ExecutionId) -> bool:
        message = identifier_pb2.WorkflowExecutionIdentifier(
            project=id.project, domain=id.domain, name=id.name
        )
        try:
            self._runs.get(message)
        except Refused:
            return False
        return True

    def _wanted_by(self, entity: identifier_pb2.Identifier) -> Wanted:
        """The secrets of its tasks; none of what there is not, which the launch itself will say."""
        key = entity.SerializeToString(deterministic=True)
        found = self._wanted.get(key)
        if found is None:
            templates = self._templates(entity)
            if templates is None:
                return ()
            found = self._wanted[key] = _secrets(templates)
            if len(self._wanted) > _REMEMBERED:
                self._wanted.popitem(last=False)
        return found

    def _templates(
        self, entity: identifier_pb2.Identifier
    ) -> "Iterable[tasks_pb2.TaskTemplate] | None":
        if entity.resource_type == identifier_pb2.TASK:
            task = self._parts.tasks.known(entity)
            if task is None:
                return None
            return (task_pb2.Task.FromString(task).closure.compiled_task.template,)
        launch_plan = self._parts.launch_plans.known(entity)
        if launch_plan is None:
            return None
        spec = launch_plan_pb2.LaunchPlan.FromString(launch_plan).spec
        workflow = self._parts.workflows.known(spec.workflow_id)
        if workflow is None:
            return None
        compiled = workflow_pb2.Workflow.FromString(workflow).closure.compiled_workflow
        return (task.template for task in compiled.tasks)


def _secrets(templates: "Iterable[tasks_pb2.TaskTemplate]") -> Wanted:
    return tuple(
        sorted(
            {
                (secret.group, secret.key, secret.group_version)
                for template in templates
                for secret in template.security_context.secrets
            }
        )
    )


def _pairs(document: "dict[str, Any]", field: str) -> "dict[str, str]":
    value = document.get(field, {})
    if not isinstance(value, dict) or not all(
        isinstance(text, str) and "\0" not in text and "=" not in name
        for name, text in value.items()
    ):
        raise invalid(f"invalid value for {field}: an object of texts")
    return value
