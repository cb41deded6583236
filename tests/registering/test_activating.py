"""Launch plans with `auto_activate` are activated, once, and a refusal is reported with the launch plan."""

import grpc
import pytest
from flyteidl.admin import launch_plan_pb2

from flyte_nb import LaunchPlan, task, workflow
from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier
from flyte_nb.drafting.draft import Draft
from flyte_nb.registering.activating import activate

ID = Identifier(LAUNCH_PLAN, "p", "d", "nightly", "v1")


@task
def count(n: int) -> int:
    return n


@workflow
def wf(n: int = 1) -> int:
    return count(n=n)


@pytest.fixture
def updated(admin):
    requests = []

    def answer(request, context):
        requests.append(request)
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    admin.answers["UpdateLaunchPlan"] = (answer, launch_plan_pb2.LaunchPlanUpdateRequest)
    return requests


def draft(*, activates):
    plan = LaunchPlan(wf, "nightly", auto_activate=activates)
    return Draft(plan, ID, activates=plan.auto_activate)


def registered(state):
    closure = launch_plan_pb2.LaunchPlanClosure(state=state)
    return {ID: launch_plan_pb2.LaunchPlan(closure=closure)}


@pytest.mark.parametrize("there", [{}, registered(launch_plan_pb2.INACTIVE)], ids=["new", "known"])
def test_a_launch_plan_that_asks_for_it_is_activated(there, updated, make_client):
    assert activate(make_client(), [draft(activates=True)], there) == []
    [request] = updated
    assert (request.id.name, request.id.version) == ("nightly", "v1")
    assert request.state == launch_plan_pb2.ACTIVE


def test_an_active_one_and_one_that_does_not_ask_are_left_alone(updated, make_client):
    active = registered(launch_plan_pb2.ACTIVE)
    assert activate(make_client(), [draft(activates=True)], active) == []
    assert activate(make_client(), [draft(activates=False)], {}) == []
    assert updated == []


def test_a_refusal_names_the_launch_plan_and_says_that_it_is_registered(admin, make_client):
    def refuse(request, context):
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")

    admin.answers["UpdateLaunchPlan"] = (refuse, launch_plan_pb2.LaunchPlanUpdateRequest)
    [problem] = activate(make_client(), [draft(activates=True)], {})
    assert problem.entity == "nightly"
    assert "is registered, and could not be activated" in problem.message
