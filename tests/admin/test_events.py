"""Events of an engine elsewhere: FlyteAdmin's checks, and rows as the own engine's records give them."""

from pathlib import Path

import pytest
from flyteidl.admin import (
    common_pb2,
    event_pb2,
    execution_pb2,
    node_execution_pb2,
    task_execution_pb2,
)
from flyteidl.core import catalog_pb2, identifier_pb2
from flyteidl.core import execution_pb2 as core

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import WorkflowRecord
from flyte_nb.testing import replaying
from flyte_nb.testing.backend import in_process_calls
from flyte_nb.testing.scenario_runs import run_stepped
from flyte_nb.testing.scenarios import load_all
from flyte_nb.wire.identifiers import execution_id_to_idl

ID = identifier_pb2.WorkflowExecutionIdentifier(
    project="flytesnacks", domain="development", name="run-1"
)
SCENARIOS = [
    scenario
    for scenario in load_all(Path(__file__).parents[1] / "propeller" / "scenarios")
    # An execution that a node starts is created by the engine, and a replay has none.
    if scenario.file != "launch_plans"
]


def refusal(call, request):
    with pytest.raises(RemoteError) as caught:
        call(request)
    return caught.value.code, caught.value.message


def workflow_event(phase, **fields):
    request = event_pb2.WorkflowExecutionEventRequest()
    request.event.execution_id.CopyFrom(ID)
    request.event.phase = core.WorkflowExecution.Phase.Value(phase)
    request.event.occurred_at.FromSeconds(1_800_000_000)
    for name, value in fields.items():
        setattr(request.event, name, value)
    return request


def node_event(phase, node_id="n0", parent="", **fields):
    request = event_pb2.NodeExecutionEventRequest()
    request.event.id.execution_id.CopyFrom(ID)
    request.event.id.node_id = node_id
    request.event.phase = core.NodeExecution.Phase.Value(phase)
    request.event.occurred_at.FromSeconds(1_800_000_000)
    if parent:
        request.event.parent_node_metadata.node_id = parent
    for name, value in fields.items():
        setattr(request.event, name, value)
    return request


def task_event(specs, phase, version=0, node_id="n0"):
    request = event_pb2.TaskExecutionEventRequest()
    event = request.event
    event.task_id.CopyFrom(specs.id_of("TASK", "tasks.double"))
    event.parent_node_execution_id.execution_id.CopyFrom(ID)
    event.parent_node_execution_id.node_id = node_id
    event.phase = core.TaskExecution.Phase.Value(phase)
    event.phase_version = version
    event.occurred_at.FromSeconds(1_800_000_000)
    return request


@pytest.fixture
def launched(registered, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    return registered


def phase_of(calls):
    return calls.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=ID)).closure.phase


def test_an_execution_goes_through_its_phases(launched):
    for phase in ("QUEUED", "RUNNING", "SUCCEEDING"):
        launched.CreateWorkflowEvent(workflow_event(phase))
    launched.CreateWorkflowEvent(workflow_event("SUCCEEDED", output_uri="/outputs.pb"))
    found = launched.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=ID)).closure
    assert found.phase == core.WorkflowExecution.SUCCEEDED
    assert found.outputs.uri == "/outputs.pb"


def test_the_same_phase_of_an_execution_again_is_refused(launched):
    launched.CreateWorkflowEvent(workflow_event("RUNNING"))
    code, text = refusal(launched.CreateWorkflowEvent, workflow_event("RUNNING"))
    assert code == "ALREADY_EXISTS"
    assert text.startswith("This phase RUNNING was already recorded for workflow execution")


def test_an_execution_that_has_ended_takes_no_event(launched):
    launched.CreateWorkflowEvent(workflow_event("FAILED"))
    code, text = refusal(launched.CreateWorkflowEvent, workflow_event("RUNNING"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("Invalid phase change from FAILED to RUNNING for workflow execution")


def test_an_execution_does_not_go_back_to_its_queue(launched):
    launched.CreateWorkflowEvent(workflow_event("RUNNING"))
    code, text = refusal(launched.CreateWorkflowEvent, workflow_event("QUEUED"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("Cannot go from RUNNING to QUEUED")


def test_an_execution_that_is_to_be_aborted_takes_only_its_end(launched):
    launched.TerminateExecution(execution_pb2.ExecutionTerminateRequest(id=ID, cause="enough"))
    code, text = refusal(launched.CreateWorkflowEvent, workflow_event("RUNNING"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("Invalid phase change from aborting to RUNNING")
    launched.CreateWorkflowEvent(workflow_event("ABORTED"))
    assert phase_of(launched) == core.WorkflowExecution.ABORTED


def test_events_of_another_cluster_are_refused(launched):
    code, text = refusal(
        launched.CreateWorkflowEvent, workflow_event("RUNNING", producer_id="elsewhere")
    )
    assert code == "FAILED_PRECONDITION"
    assert "from cluster [elsewhere]" in text


def test_an_execution_of_the_own_engine_takes_no_events(launched, engine):
    engine.record(ExecutionId(ID.project, ID.domain, ID.name), WorkflowRecord(1, "RUNNING"))
    code, text = refusal(launched.CreateWorkflowEvent, workflow_event("SUCCEEDED"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("Cannot accept events for running/terminated execution")


def test_nodes_are_created_and_changed(launched):
    launched.CreateNodeEvent(node_event("QUEUED", spec_node_id="n0", input_uri="/in.pb"))
    launched.CreateNodeEvent(node_event("RUNNING"))
    launched.CreateNodeEvent(node_event("QUEUED", "n0-0-n1", parent="n0"))
    nodes = launched.ListNodeExecutions(
        node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=ID, limit=10)
    ).node_executions
    assert [(x.id.node_id, x.input_uri, x.metadata.is_parent_node) for x in nodes] == [
        ("n0", "/in.pb", True)
    ]
    code, text = refusal(launched.CreateNodeEvent, node_event("RUNNING"))
    assert (code, text.startswith("This phase was already recorded RUNNING for")) == (
        "ALREADY_EXISTS",
        True,
    )
    launched.CreateNodeEvent(node_event("SUCCEEDED", output_uri="/out.pb"))
    code, text = refusal(launched.CreateNodeEvent, node_event("FAILED"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("Invalid phase change from SUCCEEDED to FAILED for node execution")


@pytest.mark.parametrize(
    ("request_of", "code"),
    [
        (lambda: event_pb2.NodeExecutionEventRequest(), "INVALID_ARGUMENT"),
        (lambda: node_event("QUEUED", node_id=""), "INVALID_ARGUMENT"),
        (lambda: node_event("QUEUED", parent="nobody"), "NOT_FOUND"),
    ],
)
def test_a_node_event_that_cannot_be_placed_is_refused(launched, request_of, code):
    assert refusal(launched.CreateNodeEvent, request_of())[0] == code


def test_events_of_unknown_executions_are_refused(registered):
    assert refusal(registered.CreateWorkflowEvent, workflow_event("RUNNING"))[0] == "NOT_FOUND"
    assert refusal(registered.CreateNodeEvent, node_event("QUEUED"))[0] == "NOT_FOUND"


def test_attempts_are_created_and_changed(launched, specs):
    assert refusal(launched.CreateTaskEvent, task_event(specs, "QUEUED"))[0] == "NOT_FOUND"
    launched.CreateNodeEvent(node_event("QUEUED"))
    launched.CreateTaskEvent(task_event(specs, "QUEUED"))
    launched.CreateTaskEvent(task_event(specs, "RUNNING"))
    launched.CreateTaskEvent(task_event(specs, "RUNNING", version=1))
    code, text = refusal(launched.CreateTaskEvent, task_event(specs, "RUNNING", version=1))
    assert code == "ALREADY_EXISTS"
    assert text.startswith("have already recorded task execution phase RUNNING (version: 1)")
    launched.CreateTaskEvent(task_event(specs, "SUCCEEDED"))
    code, text = refusal(launched.CreateTaskEvent, task_event(specs, "FAILED"))
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("invalid phase change from SUCCEEDED to FAILED for task execution")


def test_outputs_inside_an_event_are_stored(launched):
    request = workflow_event("SUCCEEDED")
    request.event.output_data.literals["o0"].scalar.primitive.integer = 7
    launched.CreateWorkflowEvent(workflow_event("RUNNING"))
    launched.CreateWorkflowEvent(request)
    data = launched.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=ID))
    assert data.full_outputs.literals["o0"].scalar.primitive.integer == 7


def test_outputs_that_are_too_large_are_refused(launched):
    request = workflow_event("SUCCEEDED")
    text = "x" * (2 * 1024 * 1024)
    request.event.output_data.literals["o0"].scalar.primitive.string_value = text
    code, message = refusal(launched.CreateWorkflowEvent, request)
    assert code == "RESOURCE_EXHAUSTED"
    assert message.startswith("Output data size exceeds platform configured threshold")


def test_all_records_of_a_map_may_come_in_one_commit(hand_backend, engines):
    calls = in_process_calls(hand_backend)
    scenario = next(x for x in SCENARIOS if x.name == "an element is retried")
    execution = replaying.create(calls, scenario, "at-once")
    records = replaying.versioned(run_stepped(scenario).records, "at-once")
    engines[-1].record(execution, *records)
    assert _rows(calls, execution)[0][0] == core.WorkflowExecution.SUCCEEDED


# Replays


def _node(node):
    """What events and records say alike of a node."""
    closure = node.closure
    status = closure.task_node_metadata.cache_status
    return (
        (node.id.node_id, closure.phase, node.input_uri, closure.output_uri),
        # Events of nodes that timed out have no error.
        closure.error if closure.phase == core.NodeExecution.FAILED else None,
        # The catalog's answer is part of the event of a node that succeeded.
        status if closure.phase == core.NodeExecution.SUCCEEDED else catalog_pb2.CACHE_DISABLED,
        (node.metadata.is_parent_node, node.metadata.spec_node_id, node.metadata.retry_group),
        (closure.created_at, closure.started_at, closure.duration),
    )


def _attempt(task):
    closure = task.closure
    # Events of attempts that were aborted have no error.
    error = closure.error if closure.phase == core.TaskExecution.FAILED else None
    times = (closure.created_at, closure.started_at, closure.duration)
    return (task.id, task.input_uri, closure.phase, closure.output_uri, error, closure.logs, times)


def _rows(calls, id):
    """Everything that clients see of an execution, but for the times of its creation."""
    run = execution_id_to_idl(id)
    closure = calls.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=run)).closure
    nodes, attempts = [], []
    open = [""]
    while open:
        listed = calls.ListNodeExecutions(
            node_execution_pb2.NodeExecutionListRequest(
                workflow_execution_id=run,
                limit=1000,
                unique_parent_id=open.pop(),
                sort_by=common_pb2.Sort(key="node_id", direction=common_pb2.Sort.ASCENDING),
            )
        ).node_executions
        open += [x.id.node_id for x in listed if x.metadata.is_parent_node]
        nodes += listed
        for node in listed:
            attempts += calls.ListTaskExecutions(
                task_execution_pb2.TaskExecutionListRequest(node_execution_id=node.id, limit=100)
            ).task_executions
    for task in attempts:
        task.id.node_execution_id.execution_id.name = ""
    return (
        (closure.phase, closure.outputs.uri, closure.error, closure.started_at, closure.duration),
        sorted(map(_node, nodes), key=str),
        sorted(map(_attempt, attempts), key=str),
    )


def test_replayed_events_leave_the_rows_that_the_own_engine_leaves(hand_backend, engines):
    calls = in_process_calls(hand_backend)
    # Not all of them, because each of their events is a commit of its own.
    for number, scenario in enumerate(SCENARIOS[::3]):
        ran = run_stepped(scenario)
        direct = replaying.create(calls, scenario, f"direct-{number}")
        for record in replaying.versioned(ran.records, "v"):
            engines[-1].record(direct, record)
        replayed = replaying.create(calls, scenario, f"events-{number}")
        replaying.send(calls, replayed, replaying.versioned(ran.records, "v"))
        assert _rows(calls, replayed) == _rows(calls, direct), scenario.name
