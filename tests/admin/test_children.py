"""Launch plan nodes on the backend: what a child is and inherits, and how its end ends its node."""

import pytest
from flyteidl.admin import execution_pb2, workflow_pb2
from flyteidl.core import execution_pb2 as core

from flyte_nb.admin.lent import Loan
from flyte_nb.api.errors import USER, ErrorInfo, RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import child_execution_name
from flyte_nb.propeller.growth import NESTING_VARIABLE
from flyte_nb.testing.closures import integers

CHILD = child_execution_name("parent", "launch", 0)
"""The name of the execution that the node `launch` of `parent` starts."""


def phase(execution):
    return core.WorkflowExecution.Phase.Name(execution.closure.phase)


def node_phase(node):
    return core.NodeExecution.Phase.Name(node.closure.phase)


def double(attempt):
    """The answer of a task that doubles its input."""
    return integers(o0=2 * attempt.inputs.literals["n"].scalar.primitive.integer)


def held(place, name="parent"):
    """Launch, and return once the child's first attempt runs and hangs."""
    place.answer = lambda attempt: None
    request = place.specs.execution_request(name, "flows.parent", n=1)
    place.admin.CreateExecution(request)
    place.await_(lambda: place.executor.attempts)


def test_a_node_launches_an_execution_and_has_its_outputs(place):
    ended = place.run(n=3)
    assert phase(ended) == "SUCCEEDED"
    node = place.node("parent", "launch")
    assert node.closure.workflow_node_metadata.executionId.name == CHILD
    assert (node_phase(node), node.metadata.is_parent_node) == ("SUCCEEDED", False)
    child = place.execution(CHILD)
    metadata = child.spec.metadata
    assert metadata.mode == execution_pb2.ExecutionMetadata.CHILD_WORKFLOW
    assert metadata.nesting == 1
    assert metadata.parent_node_execution == node.id
    assert metadata.principal == ended.spec.metadata.principal
    request = execution_pb2.WorkflowExecutionGetDataRequest(id=ended.id)
    assert place.admin.GetExecutionData(request).full_outputs == integers(o0=24)
    assert place.names() == sorted([CHILD, "parent"])


def test_a_child_inherits_what_its_parent_runs_with(place):
    spec = execution_pb2.ExecutionSpec(max_parallelism=7, overwrite_cache=True)
    spec.labels.values["team"] = "blue"
    spec.annotations.values["why"] = "because"
    spec.security_context.run_as.k8s_service_account = "robot"
    spec.raw_output_data_config.output_location_prefix = (place.home.folder / "mine").as_uri()
    spec.interruptible.value = True
    spec.envs.values.add(key="COLOUR", value="blue")
    fields = {field.name: value for field, value in spec.ListFields()}
    place.run(**fields)
    child = place.execution(CHILD).spec
    for name, value in fields.items():
        assert getattr(child, name) == value, name
    inside = [one for one in place.executor.attempts if one.key.execution.name == CHILD]
    assert {one.envs["COLOUR"] for one in inside} == {"blue"}
    assert all(
        one.raw_output_prefix.startswith(spec.raw_output_data_config.output_location_prefix)
        for one in inside
    )


def test_a_child_gets_what_the_launching_side_lent_to_its_parent(place):
    specs = place.specs
    parent = ExecutionId(specs.PROJECT, specs.DOMAIN, "parent")
    loans = []
    place.answer = lambda attempt: (
        loans.append(place.backend._lent.of(attempt.key.execution)),
        double(attempt),
    )[1]
    place.backend._lent.put(parent, Loan({"A": "1"}, {"KEY": "secret"}))
    place.run()
    assert loans == [Loan({"A": "1"}, {"KEY": "secret"})] * 3


def test_the_error_of_a_child_is_the_error_of_its_node_and_its_parent(place):
    place.answer = lambda attempt: ErrorInfo("USER:ValueError", "no such value", USER)
    ended = place.run()
    assert phase(ended) == "FAILED"
    error = place.execution(CHILD).closure.error
    assert (error.code, error.message) == ("USER:ValueError", "no such value")
    assert place.node("parent", "launch").closure.error == error
    assert ended.closure.error == error


def test_an_aborted_child_fails_its_node_with_propellers_text(place):
    held(place)
    request = execution_pb2.ExecutionTerminateRequest(id=place.execution(CHILD).id, cause="enough")
    place.admin.TerminateExecution(request)
    ended = place.end("parent")
    assert phase(ended) == "FAILED"
    assert ended.closure.error.code == "RemoteChildWorkflowExecutionFailed"
    assert ended.closure.error.message == (
        f"failed at Node[launch]. RemoteChildWorkflowExecutionFailed: launchplan [{CHILD}] aborted,"
        " caused by: launchplan execution aborted"
    )


def test_an_abort_goes_on_to_the_child(place):
    held(place)
    request = execution_pb2.ExecutionTerminateRequest(id=place.execution("parent").id, cause="stop")
    place.admin.TerminateExecution(request)
    assert phase(place.end("parent")) == "ABORTED"
    child = place.end(CHILD)
    assert phase(child) == "ABORTED"
    assert child.closure.abort_metadata.cause == (
        "cascading abort as parent execution id [parent] aborted, reason [Workflow aborted.]"
    )
    node = place.node("parent", "launch")
    assert (node_phase(node), node.closure.error.message) == ("ABORTED", "Workflow aborted.")


def test_a_child_whose_inputs_do_not_fit_is_refused_and_the_node_says_why(place):
    plan = place.specs.launch_plan_request("flows.fixed")
    plan.spec.fixed_inputs.literals["n"].scalar.primitive.integer = 1
    place.admin.CreateLaunchPlan(plan)
    # It was registered in another way when its parent was compiled.
    with place.backend._database.write() as transaction:
        row = transaction.one("SELECT message FROM workflows WHERE name = 'flows.parent'", ())
        changed = workflow_pb2.Workflow.FromString(row[0])
        nodes = changed.closure.compiled_workflow.primary.template.nodes
        launch = next(node for node in nodes if node.id == "launch")
        launch.workflow_node.launchplan_ref.name = "flows.fixed"
        transaction.execute(
            "UPDATE workflows SET message = ? WHERE name = 'flows.parent'",
            (changed.SerializeToString(),),
        )
    place.backend.stop(grace_s=0)
    place.start()
    specs = place.specs
    place.backend._lent.put(ExecutionId(specs.PROJECT, specs.DOMAIN, "parent"), Loan({}, {}))
    ended = place.run()
    assert not [*place.home.lent.iterdir()]
    assert ended.closure.error.code == "RuntimeExecutionError"
    assert ended.closure.error.kind == core.ExecutionError.USER
    assert ended.closure.error.message == (
        "[UserError] failed to launch workflow, caused by: rpc error: code = InvalidArgument desc ="
        " fixed_inputs n cannot be overridden"
    )
    assert place.names() == ["parent"]


def test_a_child_that_is_deleted_fails_its_node(place):
    held(place)
    with place.backend._database.write() as transaction:
        transaction.execute("DELETE FROM executions WHERE execution_name = ?", (CHILD,))
    place.executor.kill(place.executor.attempts[0].key)
    ended = place.end("parent")
    assert phase(ended) == "FAILED"
    assert ended.closure.error.message.startswith(
        "failed at Node[launch]. : launch-plan not found, caused by:"
        f" [NotFound] execID [{CHILD}] not found on remote"
    )


def test_an_execution_of_that_name_that_the_node_did_not_start_is_not_taken_for_its_child(place):
    place.run(CHILD, "flows.chain")
    ended = place.run()
    assert phase(ended) == "FAILED"
    assert f"An execution named {CHILD} already exists" in ended.closure.error.message


def test_after_a_restart_the_same_child_is_waited_for(place):
    held(place)
    place.backend.stop(grace_s=0)
    place.answer = double
    place.start()
    assert phase(place.end("parent")) == "SUCCEEDED"
    assert place.names() == sorted([CHILD, "parent"])


def test_executions_that_start_each_other_without_end_are_stopped(place, monkeypatch):
    monkeypatch.setenv(NESTING_VARIABLE, "2")
    specs = place.specs
    for number in range(3):
        request = specs.parent_request(
            f"deep{number}", "flows.parent" if not number else f"deep{number - 1}"
        )
        place.admin.CreateWorkflow(request)
        place.admin.CreateLaunchPlan(
            specs.launch_plan_request(f"deep{number}", workflow=f"deep{number}")
        )
    ended = place.run("top", "deep2")
    assert phase(ended) == "FAILED"
    assert "executions started each other 2 times" in ended.closure.error.message
    assert NESTING_VARIABLE in ended.closure.error.message
    assert phase(place.run("less", "flows.parent")) == "SUCCEEDED"


def test_a_child_execution_of_a_node_that_does_not_exist_is_refused(place):
    request = place.specs.execution_request("odd", n=1)
    parent = request.spec.metadata.parent_node_execution
    parent.node_id = "nowhere"
    parent.execution_id.CopyFrom(place.specs.execution_get("parent").id)
    with pytest.raises(RemoteError) as caught:
        place.admin.CreateExecution(request)
    assert caught.value.code == "NOT_FOUND"


def test_executions_that_start_each_other_need_no_slots_to_wait(place):
    place.executor.slots = 1
    specs = place.specs
    for number in range(3):
        below = f"deep{number - 1}" if number else "flows.parent"
        place.admin.CreateWorkflow(specs.parent_request(f"deep{number}", below))
        plan = specs.launch_plan_request(f"deep{number}", workflow=f"deep{number}")
        place.admin.CreateLaunchPlan(plan)
    ended = place.run("top", "deep2", max_parallelism=1)
    assert phase(ended) == "SUCCEEDED"
