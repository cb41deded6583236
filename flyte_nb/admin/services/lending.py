"""`/flyte_nb.Loans/Lend`: a client lends its secrets and its store settings to what it will launch.

The request is JSON in a `StringValue`: `execution` (`[project, domain, name]`), `entity`
(`[resource type, project, domain, name, version]`), and the objects `variables` and `secrets`
(secrets by name without a prefix). `wanted` of the answer lists the secrets that the entity's tasks
ask for, each as `[group, key, version]`. The client then lends values for those that it has, and no
others. A loan for an execution that exists already is ignored, so nobody can change its secrets.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.lent import Lent, Loan
from flyte_nb.admin.refused import Refused, invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.installations import document_in, texts
from flyte_nb.admin.store.runs import Runs
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, ExecutionId, Identifier
from flyte_nb.compiler.requirements import launch_plans_of
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl

LEND = "/flyte_nb.Loans/Lend"

_MOST_BYTES = 1024 * 1024
_REMEMBERED = 256

Wanted = tuple[tuple[str, str, str], ...]
"""Group, key and version of each secret."""


class Lending:
    """Serve the call that stores loans."""

    def __init__(self, parts: Parts, lent: Lent) -> None:
        self._parts = parts
        self._lent = lent
        self._runs = Runs(parts.database)
        self._wanted: OrderedDict[bytes, Wanted] = OrderedDict()
        """By the serialized id of the launched entity. A version never changes, so no entry expires."""

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {LEND: self._lend}

    def _lend(self, request: StringValue) -> StringValue:
        if len(request.value) > _MOST_BYTES:
            raise invalid("a loan has at most 1 MiB; lend fewer or shorter secrets and variables")
        document = document_in(request)
        execution = ExecutionId(*texts(document.get("execution"), 3, "execution"))
        entity = Identifier(*texts(document.get("entity"), 5, "entity"))
        if entity.resource_type not in (TASK, LAUNCH_PLAN):
            raise invalid(
                f"invalid value for entity: its resource type must be {TASK} or {LAUNCH_PLAN}"
            )
        loan = Loan(_pairs(document, "variables"), _pairs(document, "secrets"))
        wanted = self._wanted_by(identifier_to_idl(entity))
        if not self._exists(execution):
            # An empty loan is stored too. Without one, attempts would get the variables of the
            # backend's process, so those of the person who happened to start it.
            self._lent.put(execution, loan)
        return StringValue(value=json.dumps({"wanted": wanted}))

    def _exists(self, id: ExecutionId) -> bool:
        try:
            self._runs.get(execution_id_to_idl(id))
        except Refused:
            return False
        return True

    def _wanted_by(self, entity: identifier_pb2.Identifier) -> Wanted:
        """Return the secrets that the entity's tasks ask for.

        For an entity that is not registered there are none; the launch that follows reports that.
        """
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
        # The executions that nodes start get this loan too, so their tasks count.
        found: list[tasks_pb2.TaskTemplate] = []
        seen, waiting = set(), [entity]
        while waiting:
            plan_id = waiting.pop()
            key = plan_id.SerializeToString(deterministic=True)
            # Two workflows may name the same launch plan.
            if key in seen:
                continue
            seen.add(key)
            compiled = self._compiled(plan_id)
            if compiled is None:
                # Only what is launched has to be registered now. A plan that a node names may come later.
                if plan_id is entity:
                    return None
                continue
            found += [task.template for task in compiled.tasks]
            waiting += launch_plans_of(compiled)
        return found

    def _compiled(
        self, launch_plan_id: identifier_pb2.Identifier
    ) -> "compiler_pb2.CompiledWorkflowClosure | None":
        launch_plan = self._parts.launch_plans.known(launch_plan_id)
        if launch_plan is None:
            return None
        spec = launch_plan_pb2.LaunchPlan.FromString(launch_plan).spec
        workflow = self._parts.workflows.known(spec.workflow_id)
        if workflow is None:
            return None
        return workflow_pb2.Workflow.FromString(workflow).closure.compiled_workflow


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
        raise invalid(
            f"invalid value for {field}: it must be an object whose values are texts;"
            " a name has no =, and a value has no NUL"
        )
    return value
