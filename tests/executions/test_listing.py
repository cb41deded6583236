"""The state of a session and its backend, asked for over the network."""

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2

from flyte_nb.api.errors import RemoteError
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.channel import Link
from flyte_nb.client.targets import local_target
from flyte_nb.executions.listing import schedules
from flyte_nb.testing.backend import running_backend

PLACE = {"project": "flytesnacks", "domain": "development"}


@pytest.fixture
def client(tmp_path):
    with running_backend(tmp_path / "home") as backend:
        target = local_target(backend.endpoint, backend.home.token(), "")
        link = Link(lambda: target)
        try:
            yield AdminClient(link)
        finally:
            link.close()


def id_of(kind, name, version="v1"):
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(kind), **PLACE, name=name, version=version
    )


def task_request(text=""):
    request = task_pb2.TaskCreateRequest(id=id_of("TASK", "t"))
    template = request.spec.template
    template.type = "python-task"
    template.metadata.runtime.version = "1"
    template.interface.SetInParent()
    template.container.image = "none"
    template.custom["text"] = text
    return request


def test_active_schedules_are_named_with_that_nothing_starts(client):
    client.call("CreateTask", task_request())
    workflow = workflow_pb2.WorkflowCreateRequest(id=id_of("WORKFLOW", "w"))
    workflow.spec.template.interface.SetInParent()
    node = workflow.spec.template.nodes.add(id="n0")
    node.task_node.reference_id.CopyFrom(id_of("TASK", "t"))
    client.call("CreateWorkflow", workflow)
    plan = launch_plan_pb2.LaunchPlanCreateRequest(id=id_of("LAUNCH_PLAN", "nightly"))
    plan.spec.workflow_id.CopyFrom(workflow.id)
    plan.spec.entity_metadata.schedule.cron_schedule.schedule = "0 3 * * *"
    client.call("CreateLaunchPlan", plan)
    assert schedules(client, **PLACE) == {}
    update = launch_plan_pb2.LaunchPlanUpdateRequest(id=plan.id, state=launch_plan_pb2.ACTIVE)
    client.call("UpdateLaunchPlan", update)
    told = schedules(client, **PLACE)["schedules"]
    assert "nightly" in told
    assert "no scheduler" in told


def test_a_text_that_grpc_would_drop_reaches_our_own_client_whole(client):
    client.call("CreateTask", task_request("a" * 12_000))
    with pytest.raises(RemoteError) as caught:
        client.call("CreateTask", task_request("b" * 12_000))
    assert "b" * 12_000 in str(caught.value)
