"""Find what a launch runs: the launch plan, its workflow, and the inputs merged for it.

A launch may also name a task alone. Then a workflow of one node and its launch plan are made.
Source: flyteadmin/pkg/manager/impl/{execution_manager,validation/execution_validator}.go and, for
such a task, util/single_task_execution.go, at v1.16.8.
"""

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2

from flyte_nb.admin.compiling import mismatch
from flyte_nb.admin.enums import enum_text
from flyte_nb.admin.refused import Refused, invalid, missing
from flyte_nb.admin.service_parts import Parts
from flyte_nb.admin.services.launch_plans import LaunchPlans, expected_inputs, interface_of
from flyte_nb.admin.services.named_entities import NamedEntities
from flyte_nb.admin.services.rules import (
    check_execution_name,
    check_fields,
    check_labels,
    check_literals,
    check_notifications,
    check_project_and_domain,
)
from flyte_nb.admin.services.workflows import Workflows
from flyte_nb.admin.store.entities import StoredEntity
from flyte_nb.compiler.flyte_text import go_text

# FlyteAdmin's letters: without vowels no name is a word by chance.
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DEFAULT_TASK_RETRIES = 3
_MAX_NODE_ID = 63
_LAUNCHABLE = (identifier_pb2.LAUNCH_PLAN, identifier_pb2.TASK)


class LaunchTarget(NamedTuple):
    """The launch plan and the workflow that one launch runs, with the ids of their rows."""

    launch_plan_row: int
    launch_plan: launch_plan_pb2.LaunchPlan
    workflow_row: int
    workflow_id: identifier_pb2.Identifier
    task_row: "int | None"
    """Only when a task is launched by itself."""


def check_request(parts: Parts, request: execution_pb2.ExecutionCreateRequest) -> None:
    """Raise unless a launch request is complete and well formed.

    Raises:
        Refused: `INVALID_ARGUMENT`, naming the first field that is missing or wrong.
    """
    # The order of the checks is FlyteAdmin's: it decides which of several faults a client reads.
    check_fields(request, "project", "domain")
    if request.name:
        check_execution_name(request.name)
    check_project_and_domain(parts.projects, request.project, request.domain)
    if not request.HasField("spec"):
        raise missing("spec")
    if not request.spec.HasField("launch_plan"):
        raise missing("id")
    reference = request.spec.launch_plan
    check_fields(reference, "project", "domain", "name", "version")
    if reference.resource_type not in _LAUNCHABLE:
        name = enum_text(identifier_pb2.ResourceType, reference.resource_type)
        raise invalid(
            f"Invalid reference entity resource type [{name}],"
            " only [map[TASK:<nil> LAUNCH_PLAN:<nil>]] allowed"
        )
    check_literals(request.inputs.literals, "inputs")
    check_notifications(request.spec.notifications.notifications)
    check_labels(request.spec.labels.values)


def new_name() -> str:
    """Return a random execution name as FlyteAdmin makes them: `a` and 19 letters and digits."""
    return "a" + "".join(secrets.choice(_NAME_LETTERS) for _ in range(19))


def merged_inputs(
    given: "Mapping[str, literals_pb2.Literal]",
    fixed: "Mapping[str, literals_pb2.Literal]",
    expected: "Mapping[str, interface_pb2.Parameter]",
) -> literals_pb2.LiteralMap:
    """Return all inputs of the workflow: the given ones, defaults for the rest, and the fixed ones.

    Args:
        given: What the launch sends.
        fixed: What the launch plan fixes; a launch cannot override it.
        expected: What the launch plan lets a launch give, with the default or `required`.

    Raises:
        Refused: `INVALID_ARGUMENT`, when an input is unknown, missing, fixed or of another type.
    """
    merged = literals_pb2.LiteralMap()
    for name, literal in given.items():
        if name in fixed:
            raise invalid(f"fixed_inputs {name} cannot be overridden")
        if name not in expected:
            raise invalid(f"invalid input {name}")
        merged.literals[name].CopyFrom(literal)
    for name, parameter in expected.items():
        if name not in given:
            if parameter.required:
                raise invalid(f"expected_inputs {name} missing")
            merged.literals[name].CopyFrom(parameter.default)
            continue
        given_type = mismatch(given[name], parameter.var.type, name)
        if given_type is not None:
            raise invalid(
                f"invalid {name} input wrong type. Expected {go_text(parameter.var.type)},"
                f" but got {given_type}"
            )
    # Last, so that a fixed input wins over a default of the same name.
    for name, literal in fixed.items():
        merged.literals[name].CopyFrom(literal)
    return merged


class LaunchTargets:
    """Find the target of a launch. For a task, make its workflow and launch plan once."""

    def __init__(
        self,
        parts: Parts,
        workflows: Workflows,
        launch_plans: LaunchPlans,
        named_entities: NamedEntities,
    ) -> None:
        self._parts = parts
        self._workflows = workflows
        self._launch_plans = launch_plans
        self._named_entities = named_entities

    def find(self, reference: identifier_pb2.Identifier) -> LaunchTarget:
        """Return what a launch of `reference` runs.

        Args:
            reference: A launch plan, or a task that is launched by itself.

        Raises:
            Refused: `NOT_FOUND`, when it or its workflow is not registered.
        """
        if reference.resource_type == identifier_pb2.TASK:
            return self._target_of_task(reference)
        stored = self._parts.launch_plans.get(reference)
        launch_plan = launch_plan_pb2.LaunchPlan.FromString(stored.message)
        workflow = self._parts.workflows.get(launch_plan.spec.workflow_id)
        return LaunchTarget(
            launch_plan_row=stored.row_id,
            launch_plan=launch_plan,
            workflow_row=workflow.row_id,
            workflow_id=launch_plan.spec.workflow_id,
            task_row=None,
        )

    def _target_of_task(self, reference: identifier_pb2.Identifier) -> LaunchTarget:
        """Return the workflow of one node and its launch plan, both named `.flytegen.<task>`.

        They are registered at the first launch of this version of the task and used again later.
        """
        stored_task = self._parts.tasks.get(reference)
        task = task_pb2.Task.FromString(stored_task.message)
        workflow_id = _generated(reference, identifier_pb2.WORKFLOW)
        workflow = self._parts.workflows.find(workflow_id)
        if workflow is None:
            self._create_workflow(workflow_id, task)
            workflow = self._parts.workflows.get(workflow_id)
        launch_plan_id = _generated(reference, identifier_pb2.LAUNCH_PLAN)
        stored = self._parts.launch_plans.find(launch_plan_id)
        if stored is None:
            stored = self._create_launch_plan(launch_plan_id, workflow_id, workflow)
        return LaunchTarget(
            launch_plan_row=stored.row_id,
            launch_plan=launch_plan_pb2.LaunchPlan.FromString(stored.message),
            workflow_row=workflow.row_id,
            workflow_id=workflow_id,
            task_row=stored_task.row_id,
        )

    def _create_workflow(self, id: identifier_pb2.Identifier, task: task_pb2.Task) -> None:
        request = workflow_pb2.WorkflowCreateRequest(id=id)
        request.spec.template.CopyFrom(single_task_template(id, task))
        try:
            self._workflows.create(request)
        except Refused as refused:
            # Another launch of the same task, in another thread, may have made it meanwhile.
            if refused.code != "ALREADY_EXISTS":
                raise
        self._hide(id)

    def _create_launch_plan(
        self,
        id: identifier_pb2.Identifier,
        workflow_id: identifier_pb2.Identifier,
        workflow: StoredEntity,
    ) -> StoredEntity:
        interface = interface_of(workflow)
        request = launch_plan_pb2.LaunchPlanCreateRequest(id=id)
        request.spec.workflow_id.CopyFrom(workflow_id)
        request.spec.default_inputs.CopyFrom(expected_inputs(interface.inputs.variables, {}, {}))
        self._launch_plans.store(request, interface, workflow.row_id)
        self._hide(id)
        return self._parts.launch_plans.get(id)

    def _hide(self, id: identifier_pb2.Identifier) -> None:
        # Lists of names leave out what is marked as generated.
        request = common_pb2.NamedEntityUpdateRequest(resource_type=id.resource_type)
        request.id.project, request.id.domain, request.id.name = id.project, id.domain, id.name
        request.metadata.state = common_pb2.SYSTEM_GENERATED
        self._named_entities.update(request)


def single_task_template(
    id: identifier_pb2.Identifier, task: task_pb2.Task
) -> core_workflow_pb2.WorkflowTemplate:
    """Return a workflow of one node that runs `task`, with the task's own interface."""
    template = task.closure.compiled_task.template
    node_id = _node_id(task.id.name)
    workflow = core_workflow_pb2.WorkflowTemplate(id=id, interface=template.interface)
    node = workflow.nodes.add(id=node_id)
    node.metadata.name = node_id
    if template.metadata.HasField("retries"):
        node.metadata.retries.CopyFrom(template.metadata.retries)
    else:
        node.metadata.retries.CopyFrom(literals_pb2.RetryStrategy(retries=_DEFAULT_TASK_RETRIES))
    node.task_node.reference_id.CopyFrom(task.id)
    for var in sorted(template.interface.inputs.variables):
        binding = node.inputs.add(var=var)
        binding.binding.promise.var = var
    for var in sorted(template.interface.outputs.variables):
        binding = workflow.outputs.add(var=var)
        binding.binding.promise.node_id = node_id
        binding.binding.promise.var = var
    return workflow


def _generated(
    task: identifier_pb2.Identifier, resource_type: "identifier_pb2.ResourceType"
) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(
        resource_type=resource_type,
        project=task.project,
        domain=task.domain,
        name=f".flytegen.{task.name}",
        version=task.version,
    )


def _node_id(task_name: str) -> str:
    kept = task_name[-_MAX_NODE_ID:]
    # The id is also the name of a folder, so only ASCII is kept, as FlyteAdmin does.
    return "".join(one for one in kept if one == "-" or (one.isascii() and one.isalnum()))
