"""Send the events of a scenario to a FlyteAdmin, as FlytePropeller would.

The FlyteAdmin must not have an engine that runs the execution as well: stop its FlytePropeller, or use a
backend whose engine does nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from flyteidl.admin import event_pb2, execution_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2
from flyteidl.event import event_pb2 as events
from google.protobuf.message import Message

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.events import Event, events_of
from flyte_nb.propeller.records import AttemptRecord, ElementRecord, Record
from flyte_nb.testing.closures import DOMAIN, PROJECT
from flyte_nb.testing.scenario_reading import templates_of
from flyte_nb.testing.scenarios import Scenario

_LAUNCH_PLAN = identifier_pb2.LAUNCH_PLAN


class Calls(Protocol):
    """The calls of FlyteAdmin that a replay needs; `testing.backend` makes such values."""

    def CreateTask(self, request: task_pb2.TaskCreateRequest) -> object: ...  # noqa: N802, D102
    def CreateWorkflow(self, request: workflow_pb2.WorkflowCreateRequest) -> object: ...  # noqa: N802, D102
    def CreateLaunchPlan(self, request: launch_plan_pb2.LaunchPlanCreateRequest) -> object: ...  # noqa: N802, D102
    def CreateExecution(self, request: execution_pb2.ExecutionCreateRequest) -> object: ...  # noqa: N802, D102
    def CreateWorkflowEvent(self, request: event_pb2.WorkflowExecutionEventRequest) -> object: ...  # noqa: N802, D102
    def CreateNodeEvent(self, request: event_pb2.NodeExecutionEventRequest) -> object: ...  # noqa: N802, D102
    def CreateTaskEvent(self, request: event_pb2.TaskExecutionEventRequest) -> object: ...  # noqa: N802, D102


def create(calls: Calls, scenario: Scenario, name: str) -> ExecutionId:
    """Register the scenario's workflow under a version of its own and create an execution of it.

    Args:
        calls: The FlyteAdmin.
        scenario: The scenario.
        name: What the execution is called; also the version of everything that is registered.

    Raises:
        RemoteError: when the FlyteAdmin refuses.
    """
    made = templates_of(scenario.plain)
    for template in (made.workflow, *made.sub_workflows, *made.tasks):
        _set_version(template, name)
    for task in made.tasks:
        task_request = task_pb2.TaskCreateRequest(id=task.id)
        task_request.spec.template.CopyFrom(task)
        calls.CreateTask(task_request)
    request = workflow_pb2.WorkflowCreateRequest(id=made.workflow.id)
    request.spec.template.CopyFrom(made.workflow)
    request.spec.sub_workflows.extend(made.sub_workflows)
    calls.CreateWorkflow(request)
    plan = launch_plan_pb2.LaunchPlanCreateRequest(id=request.id)
    plan.id.resource_type = _LAUNCH_PLAN
    plan.spec.workflow_id.CopyFrom(request.id)
    calls.CreateLaunchPlan(plan)
    launch = execution_pb2.ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name)
    launch.spec.launch_plan.CopyFrom(plan.id)
    launch.inputs.CopyFrom(scenario.launch().inputs)
    launch.inputs.SetInParent()
    calls.CreateExecution(launch)
    return ExecutionId(PROJECT, DOMAIN, name)


def send(calls: Calls, execution: ExecutionId, records: Sequence[Record]) -> int:
    """Send the events of the records, in order; return how many there were.

    The records must name the tasks that `create` registered (`versioned`). An event that the FlyteAdmin
    has already is taken for sent, as propeller does.

    Raises:
        RemoteError: when the FlyteAdmin refuses an event.
    """
    sent = 0
    for event in events_of(execution, records):
        try:
            _send(calls, event)
        except RemoteError as error:
            if error.code != "ALREADY_EXISTS":
                raise
        sent += 1
    return sent


def _send(calls: Calls, event: Event) -> None:
    if isinstance(event, events.WorkflowExecutionEvent):
        calls.CreateWorkflowEvent(event_pb2.WorkflowExecutionEventRequest(event=event))
    elif isinstance(event, events.NodeExecutionEvent):
        calls.CreateNodeEvent(event_pb2.NodeExecutionEventRequest(event=event))
    else:
        calls.CreateTaskEvent(event_pb2.TaskExecutionEventRequest(event=event))


def versioned(records: Iterable[Record], version: str) -> list[Record]:
    """Return the records with the version under which `create` registered the tasks."""
    return [
        record._replace(task_id=record.task_id._replace(version=version))
        if isinstance(record, (AttemptRecord, ElementRecord)) and record.task_id is not None
        else record
        for record in records
    ]


def _set_version(message: Message, version: str) -> None:
    """Give every identifier in the message that version."""
    if isinstance(message, identifier_pb2.Identifier):
        message.version = version
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            items = [item for item in value.values() if isinstance(item, Message)]
        else:
            items = value if field.is_repeated else [value]
        for item in items:
            _set_version(item, version)
