"""Tasks that need plugins or connectors of a cluster: a notice when registered, a refusal when launched."""

import pytest
from flyteidl.admin import common_pb2

from flyte_nb.admin.service_parts import Noted
from flyte_nb.api.errors import RemoteError
from flyte_nb.testing.backend import in_process_calls, running_backend


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    with running_backend(tmp_path_factory.mktemp("not-here") / "home") as running:
        yield running


def sensor(specs, name):
    request = specs.task_request(name)
    request.spec.template.ClearField("container")
    request.spec.template.type = "sensor"
    return request


def test_registering_such_a_task_is_accepted_with_a_notice(backend, specs):
    answered = backend.rpcs["CreateTask"](sensor(specs, "wait.for_file"))
    assert isinstance(answered, Noted)
    assert "wait.for_file is a sensor" in answered.notice
    assert "Flyte cluster" in answered.notice
    assert not isinstance(backend.rpcs["CreateTask"](specs.task_request("plain")), Noted)


@pytest.mark.parametrize(
    ("kind", "has_container", "why"),
    [
        ("sensor", False, "is a sensor, which a connector service polls for"),
        ("sql_task", False, "is SQL for an engine"),
        (
            "bigquery_query_job_task",
            False,
            "is of type 'bigquery_query_job_task' and has no container",
        ),
        ("spark", True, "needs a Spark cluster"),
        ("mpi", True, "needs an MPI job"),
    ],
)
def test_launching_a_workflow_with_one_is_refused_with_the_reason(
    backend, specs, kind, has_container, why
):
    admin = in_process_calls(backend)
    request = specs.task_request(f"{kind}.task")
    request.spec.template.type = kind
    if not has_container:
        request.spec.template.ClearField("container")
    admin.CreateTask(request)
    admin.CreateWorkflow(specs.workflow_request(f"{kind}.flow", task=f"{kind}.task"))
    admin.CreateLaunchPlan(specs.launch_plan_request(f"{kind}.flow", workflow=f"{kind}.flow"))
    with pytest.raises(RemoteError) as refused:
        admin.CreateExecution(specs.execution_request("never", f"{kind}.flow", n=1))
    assert refused.value.code == "FAILED_PRECONDITION"
    assert f"The task {kind}.task {why}" in str(refused.value)
    listed = admin.ListExecutions(
        common_pb2.ResourceListRequest(
            id=common_pb2.NamedEntityIdentifier(project="flytesnacks", domain="development"),
            limit=9,
        )
    )
    assert "never" not in [each.id.name for each in listed.executions]
