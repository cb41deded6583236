"""Executions: create, read, abort and relaunch them, in process and over gRPC."""

import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import identifier_pb2
from flyteidl.service import dataproxy_pb2

from flyte_nb.admin.moments import now_us
from flyte_nb.api.errors import ErrorInfo, RemoteError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.testing.backend import running_backend

PHASE = phases.WorkflowExecution.Phase


def refusal(call, request):
    with pytest.raises(RemoteError) as caught:
        call(request)
    return caught.value.code, caught.value.message


def run_id(specs, name):
    return ExecutionId(specs.PROJECT, specs.DOMAIN, name)


def node_id(specs, name, node="n0"):
    id = identifier_pb2.NodeExecutionIdentifier(node_id=node)
    id.execution_id.CopyFrom(specs.execution_get(name).id)
    return id


def phase_of(admin, specs, name):
    return PHASE.Name(admin.GetExecution(specs.execution_get(name)).closure.phase)


def test_an_execution_is_recorded_before_the_engine_gets_it(registered, specs, engine):
    answer = registered.CreateExecution(specs.execution_request("run-1", n=4))
    assert answer.id.name == "run-1"
    execution = registered.GetExecution(specs.execution_get("run-1"))
    assert execution.closure.phase == PHASE.Value("UNDEFINED")
    assert execution.closure.workflow_id == specs.id_of("WORKFLOW", "flows.chain")
    launch = engine.launches[run_id(specs, "run-1")]
    assert launch.inputs == specs.literals(n=4)
    assert launch.closure.primary.template.id.name == "flows.chain"


def test_an_execution_without_a_name_gets_one_of_20_letters(registered, specs):
    name = registered.CreateExecution(specs.execution_request(n=1)).id.name
    assert len(name) == 20
    assert name.startswith("a")


def test_a_name_that_is_taken_exists_already_and_keeps_its_inputs(registered, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    code, _ = refusal(registered.CreateExecution, specs.execution_request("run-1", n=5))
    assert code == "ALREADY_EXISTS"
    data = registered.GetExecutionData(
        execution_pb2.WorkflowExecutionGetDataRequest(id=specs.execution_get("run-1").id)
    )
    assert data.full_inputs == specs.literals(n=4)


@pytest.mark.parametrize(
    ("name", "inputs", "text"),
    [
        ("ok", {}, "expected_inputs n missing"),
        ("ok", {"n": 1, "m": 2}, "invalid input m"),
        (
            "ok",
            {"n": "one"},
            "invalid n input wrong type. Expected simple:INTEGER, but got simple:STRING",
        ),
        (
            "9lives",
            {"n": 1},
            r"invalid name format: 9lives, does not match regex '^[a-z][a-z\-0-9]*$'",
        ),
        ("a" * 64, {"n": 1}, f"size of name exceeded length 63 : {'a' * 64}"),
    ],
)
def test_a_launch_that_does_not_fit_is_refused(registered, specs, name, inputs, text):
    request = specs.execution_request(name, **inputs)
    assert refusal(registered.CreateExecution, request) == ("INVALID_ARGUMENT", text)


def test_fixed_inputs_are_merged_in_and_cannot_be_overridden(registered, specs, engine):
    fixed = specs.launch_plan_request("fixed")
    fixed.spec.fixed_inputs.CopyFrom(specs.literals(n=3))
    registered.CreateLaunchPlan(fixed)
    registered.CreateExecution(specs.execution_request("run-1", "fixed"))
    assert engine.launches[run_id(specs, "run-1")].inputs == specs.literals(n=3)
    assert refusal(registered.CreateExecution, specs.execution_request("run-2", "fixed", n=1)) == (
        "INVALID_ARGUMENT",
        "fixed_inputs n cannot be overridden",
    )


def test_an_unknown_launch_plan_is_not_found(registered, specs):
    code, text = refusal(registered.CreateExecution, specs.execution_request("run-1", "none", n=1))
    assert code == "NOT_FOUND"
    assert "entity of type LAUNCH_PLAN" in text


def test_a_task_is_launched_through_a_generated_workflow_that_lists_hide(registered, specs, engine):
    for name in ("run-1", "run-2"):
        registered.CreateExecution(specs.execution_request(name, "tasks.double", "TASK", n=4))
    execution = registered.GetExecution(specs.execution_get("run-1"))
    assert execution.spec.launch_plan.resource_type == identifier_pb2.TASK
    assert execution.closure.workflow_id.name == ".flytegen.tasks.double"
    template = engine.launches[run_id(specs, "run-1")].closure.primary.template
    nodes = [node for node in template.nodes if node.id not in ("start-node", "end-node")]
    assert [node.id for node in nodes] == ["tasksdouble"]


def test_records_become_executions_nodes_and_attempts(registered, specs, engine):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    id = run_id(specs, "run-1")
    task = Identifier("task", specs.PROJECT, specs.DOMAIN, "tasks.double", "v1")
    error = ErrorInfo("USER:ValueError", "x" * 500, "USER")
    start = now_us()
    engine.record(
        id,
        WorkflowRecord(start, "RUNNING"),
        NodeRecord(start, "n0", "n0", "QUEUED", input_uri="file:///in"),
        AttemptRecord(start, "n0", 0, "QUEUED", task),
    )
    engine.record(
        id,
        NodeRecord(start + 1_000_000, "n0", "n0", "RUNNING"),
        AttemptRecord(
            start + 1_000_000, "n0", 0, "RUNNING", task, logs=(("log", "file:///log"),), pid=7
        ),
    )
    engine.record(
        id,
        AttemptRecord(
            start + 3_500_000, "n0", 0, "FAILED", task, error=error, cpu_s=1.5, max_rss_bytes=4096
        ),
        NodeRecord(start + 3_500_000, "n0", "n0", "FAILED", error=error),
        WorkflowRecord(start + 3_500_000, "FAILING", error),
        WorkflowRecord(start + 3_500_000, "FAILED", error),
    )
    execution = registered.GetExecution(specs.execution_get("run-1"))
    assert execution.closure.phase == PHASE.Value("FAILED")
    assert execution.closure.error.code == "USER:ValueError"
    assert len(execution.closure.error.message) == 500
    assert execution.closure.duration.ToMicroseconds() == 3_500_000
    (listed,) = registered.ListExecutions(
        specs.list_request(filters="eq(phase,FAILED)+gte(duration,3.5)+lt(duration,1m)")
    ).executions
    assert len(listed.closure.error.message) == 100
    (node,) = registered.ListNodeExecutions(
        node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=specs.execution_get("run-1").id, limit=10
        )
    ).node_executions
    assert node.metadata.spec_node_id == "n0"
    assert node.closure.duration.ToMicroseconds() == 2_500_000
    (attempt,) = registered.ListTaskExecutions(
        task_execution_pb2.TaskExecutionListRequest(
            node_execution_id=node_id(specs, "run-1"), limit=10
        )
    ).task_executions
    assert attempt.closure.logs[0].uri == "file:///log"
    assert dict(attempt.closure.custom_info) == {"cpu_s": 1.5, "max_rss_bytes": 4096, "pid": 7}
    again = registered.GetTaskExecution(task_execution_pb2.TaskExecutionGetRequest(id=attempt.id))
    assert again == attempt


def test_nodes_of_a_sub_workflow_are_listed_below_their_parent(registered, specs, engine):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    engine.record(
        run_id(specs, "run-1"),
        NodeRecord(now_us(), "n0", "n0", "RUNNING", is_parent=True),
        NodeRecord(now_us(), "n0-0-n1", "n1", "RUNNING", parent_id="n0"),
    )

    def names(**fields):
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=specs.execution_get("run-1").id, limit=10, **fields
        )
        return [node.id.node_id for node in registered.ListNodeExecutions(request).node_executions]

    assert names() == ["n0"]
    assert names(unique_parent_id="n0") == ["n0-0-n1"]
    with pytest.raises(RemoteError, match="missing entity of type node execution"):
        names(unique_parent_id="n7")


def test_inputs_and_outputs_are_read_of_executions_and_nodes_and_by_url(registered, specs, engine):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    engine.succeed(run_id(specs, "run-1"), o0=8)
    data = registered.GetExecutionData(
        execution_pb2.WorkflowExecutionGetDataRequest(id=specs.execution_get("run-1").id)
    )
    assert (data.full_inputs, data.full_outputs) == (specs.literals(n=4), specs.literals(o0=8))
    node = registered.GetNodeExecutionData(
        node_execution_pb2.NodeExecutionGetDataRequest(id=node_id(specs, "run-1"))
    )
    assert node.full_outputs == specs.literals(o0=8)
    assert node.flyte_urls.outputs == "flyte://v1/flytesnacks/development/run-1/n0/o"
    by_url = registered.GetData(dataproxy_pb2.GetDataRequest(flyte_url=node.flyte_urls.outputs))
    assert by_url.literal_map == specs.literals(o0=8)
    one = registered.GetData(
        dataproxy_pb2.GetDataRequest(flyte_url=f"{node.flyte_urls.outputs}/o0")
    )
    assert one.literal == specs.integer(8)


def test_executions_are_filtered_by_what_they_ran_and_when(registered, specs, engine):
    for number in range(3):
        registered.CreateExecution(specs.execution_request(f"run-{number}", n=number))
    engine.succeed(run_id(specs, "run-1"), o0=2)

    def names(filters):
        listed = registered.ListExecutions(specs.list_request(filters=filters))
        return [execution.id.name for execution in listed.executions]

    assert names("value_in(phase,SUCCEEDED;FAILED)") == ["run-1"]
    assert names("eq(launch_plan.name,flows.chain)+ne(execution_name,run-0)") == ["run-1", "run-2"]
    assert names("eq(workflow.name,other)") == []
    assert names("gte(created_at,2020-01-01T00:00:00Z)") == ["run-0", "run-1", "run-2"]
    assert names("gt(created_at,2999-01-01T00:00:00Z)") == []
    assert names("contains(execution_name,RUN)") == []
    with pytest.raises(RemoteError, match=r"'e\.name' is invalid filter"):
        names("eq(name,run-1)")


def test_terminating_is_recorded_first_and_an_ended_execution_cannot_be_terminated(
    registered, specs, engine
):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    id = run_id(specs, "run-1")
    engine.record(id, WorkflowRecord(now_us(), "RUNNING"))
    request = execution_pb2.ExecutionTerminateRequest(
        id=specs.execution_get("run-1").id, cause="enough"
    )
    registered.TerminateExecution(request)
    assert phase_of(registered, specs, "run-1") == "ABORTING"
    assert engine.terminated == [(id, "enough")]
    engine.record(id, WorkflowRecord(now_us(), "SUCCEEDING"))
    assert phase_of(registered, specs, "run-1") == "ABORTING"
    engine.record(id, WorkflowRecord(now_us(), "ABORTED", ErrorInfo("Aborted", "enough")))
    execution = registered.GetExecution(specs.execution_get("run-1"))
    assert execution.closure.phase == PHASE.Value("ABORTED")
    assert execution.closure.abort_metadata.cause == "enough"
    assert execution.closure.abort_metadata.principal
    assert refusal(registered.TerminateExecution, request) == (
        "FAILED_PRECONDITION",
        "Cannot abort an already terminated workflow execution",
    )


def test_terminating_an_execution_again_does_not_change_its_cause(registered, specs, engine):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    engine.record(run_id(specs, "run-1"), WorkflowRecord(now_us(), "RUNNING"))
    id = specs.execution_get("run-1").id
    for cause in ("enough", "enough again"):
        registered.TerminateExecution(execution_pb2.ExecutionTerminateRequest(id=id, cause=cause))
    closure = registered.GetExecution(specs.execution_get("run-1")).closure
    assert closure.abort_metadata.cause == "enough"
    assert engine.terminated == [(run_id(specs, "run-1"), "enough")]


def test_a_relaunch_is_a_new_execution_with_the_same_inputs(registered, specs, engine):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    answer = registered.RelaunchExecution(
        execution_pb2.ExecutionRelaunchRequest(id=specs.execution_get("run-1").id, name="run-2")
    )
    execution = registered.GetExecution(specs.execution_get(answer.id.name))
    assert execution.spec.metadata.mode == execution_pb2.ExecutionMetadata.RELAUNCH
    assert execution.spec.metadata.reference_execution.name == "run-1"
    assert engine.launches[run_id(specs, "run-2")].inputs == specs.literals(n=4)


def test_an_archived_execution_is_listed_only_when_asked_for(registered, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    registered.UpdateExecution(
        execution_pb2.ExecutionUpdateRequest(
            id=specs.execution_get("run-1").id, state=execution_pb2.EXECUTION_ARCHIVED
        )
    )
    assert not registered.ListExecutions(specs.list_request()).executions
    archived = registered.ListExecutions(specs.list_request(filters="eq(state,1)"))
    assert [execution.id.name for execution in archived.executions] == ["run-1"]


def test_labels_of_the_launch_plan_and_of_the_launch_can_be_filtered_by(registered, specs):
    plan = specs.launch_plan_request("labelled")
    plan.spec.labels.values["team"] = "blue"
    registered.CreateLaunchPlan(plan)
    request = specs.execution_request("run-1", "labelled", n=1)
    request.spec.tags.append("nightly")
    registered.CreateExecution(request)
    registered.CreateExecution(specs.execution_request("run-2", n=1))
    for filters in ("eq(execution_tag.value,blue)", "eq(admin_tag.name,nightly)"):
        listed = registered.ListExecutions(specs.list_request(filters=filters))
        assert [execution.id.name for execution in listed.executions] == ["run-1"]


def test_after_a_restart_unfinished_executions_are_resumed_and_aborting_ones_are_aborted(
    registered, specs, engine, engines, hand_backend, make_engine
):
    for number in range(3):
        registered.CreateExecution(specs.execution_request(f"run-{number}", n=number))
    records = [
        WorkflowRecord(now_us(), "RUNNING"),
        NodeRecord(now_us(), "n0", "n0", "QUEUED", child_execution=ExecutionId("p", "d", "n")),
    ]
    engine.record(run_id(specs, "run-0"), *records)
    engine.succeed(run_id(specs, "run-1"), o0=2)
    registered.TerminateExecution(
        execution_pb2.ExecutionTerminateRequest(id=specs.execution_get("run-2").id, cause="enough")
    )
    hand_backend.stop(grace_s=0)
    with running_backend(hand_backend.home.folder, make_engine=make_engine):
        after = engines[-1]
        assert after.resumed == [run_id(specs, "run-2"), run_id(specs, "run-0")]
        assert after.terminated == [(run_id(specs, "run-2"), "enough")]
        assert after.launches[run_id(specs, "run-0")] == engine.launches[run_id(specs, "run-0")]
        assert list(after.recorder.history(run_id(specs, "run-0"))) == records
