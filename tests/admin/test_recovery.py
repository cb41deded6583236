"""Recover an execution on the backend: what succeeded is taken over, the rest runs."""

import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2, workflow_pb2
from flyteidl.core import execution_pb2 as core

from flyte_nb.api.errors import USER, ErrorInfo, RemoteError
from flyte_nb.api.nodes import child_execution_name
from flyte_nb.testing.closures import integers, job, node, task

BROKEN = ErrorInfo("USER:ValueError", "broken", USER)


def phase(execution):
    return core.WorkflowExecution.Phase.Name(execution.closure.phase)


def double(attempt):
    return integers(o0=2 * attempt.inputs.literals["n"].scalar.primitive.integer)


def breaking(*node_ids, of=""):
    """Answer as `double`, but at these nodes (of executions of that name)."""

    def answer(attempt):
        if attempt.key.node_id in node_ids and attempt.key.execution.name.startswith(of):
            return BROKEN
        return double(attempt)

    return answer


def ran(place, name):
    """The nodes of an execution that had attempts."""
    return [x.key.node_id for x in place.executor.attempts if x.key.execution.name == name]


def test_what_succeeded_is_taken_over_and_the_rest_runs(place):
    place.answer = breaking("n1")
    assert phase(place.run("first", "flows.chain", n=3)) == "FAILED"
    place.answer = double
    ended = place.recover("first", "second")
    assert phase(ended) == "SUCCEEDED"
    assert place.phases("second") == {
        "start-node": "SUCCEEDED",
        "n0": "RECOVERED",
        "n1": "SUCCEEDED",
        "end-node": "SUCCEEDED",
    }
    assert ran(place, "second") == ["n1"]
    metadata = ended.spec.metadata
    assert metadata.mode == execution_pb2.ExecutionMetadata.RECOVERED
    assert metadata.reference_execution == place.execution("first").id
    request = execution_pb2.WorkflowExecutionGetDataRequest(id=ended.id)
    data = place.admin.GetExecutionData(request)
    assert (data.full_inputs, data.full_outputs) == (integers(n=3), integers(o0=12))
    former, taken = place.node("first", "n0"), place.node("second", "n0")
    assert (
        taken.closure.output_uri != former.closure.output_uri
    )  # a copy, which outlives the former one
    assert "/second/" in taken.closure.output_uri
    assert "/second/" in taken.input_uri


def test_recovering_what_was_recovered_takes_over_what_that_had_taken_over(place):
    place.answer = breaking("n1")
    place.run("first", "flows.chain")
    place.recover("first", "second")
    place.answer = double
    assert phase(place.recover("second", "third")) == "SUCCEEDED"
    assert place.phases("third")["n0"] == "RECOVERED"


def test_an_execution_that_succeeded_is_recovered_whole(place):
    place.run("first", "flows.chain", n=3)
    ended = place.recover("first", "second")
    assert phase(ended) == "SUCCEEDED"
    assert ran(place, "second") == []
    request = execution_pb2.WorkflowExecutionGetDataRequest(id=ended.id)
    assert place.admin.GetExecutionData(request).full_outputs == integers(o0=12)


def test_a_sub_workflow_that_failed_is_entered_and_its_nodes_are_taken_over(place):
    specs = place.specs
    request = workflow_pb2.WorkflowCreateRequest(id=specs.id_of("WORKFLOW", "flows.outer"))
    outer, inner = request.spec.template, specs.workflow_request("flows.inner").spec.template
    request.spec.sub_workflows.append(inner)
    outer.CopyFrom(inner)
    outer.id.CopyFrom(request.id)
    del outer.nodes[:]
    for id, before in (("a", ""), ("b", "a")):
        node = outer.nodes.add(id=id, upstream_node_ids=[before] if before else [])
        node.workflow_node.sub_workflow_ref.CopyFrom(inner.id)
        promise = node.inputs.add(var="n").binding.promise
        promise.node_id, promise.var = before, "o0" if before else "n"
    outer.outputs[0].binding.promise.node_id = "b"
    place.admin.CreateWorkflow(request)
    place.admin.CreateLaunchPlan(specs.launch_plan_request("flows.outer", workflow="flows.outer"))
    place.answer = breaking("b-0-n1")
    place.run("first", "flows.outer")
    place.answer = double
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    found = place.phases("second")
    assert (found["a"], found["b"], found["b-0-n0"], found["b-0-n1"]) == (
        "RECOVERED",
        "SUCCEEDED",
        "RECOVERED",
        "SUCCEEDED",
    )
    assert ran(place, "second") == ["b-0-n1"]


def test_what_a_dynamic_task_had_made_is_recovered_and_it_does_not_run_again(place):
    # Its own node is named like the task, and the nodes that it makes run another task.
    task = place.specs.task_request("dyn")
    place.admin.CreateTask(task)
    inner = place.admin.GetTask(place.specs.get_request("TASK", "tasks.double"))
    double_task = inner.closure.compiled_task.template
    nodes = [
        node("dn0", double_task, {"n": 4}),
        node("dn1", double_task, {"n": "dn0"}),
        node("dn2", double_task, {"n": "dn1"}),
    ]

    def answering(*broken):
        def answer(attempt):
            if attempt.task_id.name == "dyn":
                return job(nodes, {"o0": "dn2"}, [double_task])
            return BROKEN if attempt.key.node_id in broken else double(attempt)

        return answer

    place.answer = answering("dyn-0-dn1")
    assert phase(place.run("first", "dyn", kind="TASK")) == "FAILED"
    place.answer = answering()
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    found = place.phases("second")
    assert [found[f"dyn-0-dn{number}"] for number in range(3)] == [
        "RECOVERED",
        "SUCCEEDED",
        "SUCCEEDED",
    ]
    assert ran(place, "second") == ["dyn-0-dn1", "dyn-0-dn2"]
    assert found["dyn"] == "SUCCEEDED"


def test_an_execution_that_a_node_started_is_recovered_too(place):
    place.answer = breaking("n1")
    assert phase(place.run("first")) == "FAILED"
    place.answer = double
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    before, after = (child_execution_name(name, "launch", 0) for name in ("first", "second"))
    child = place.execution(after)
    assert child.spec.metadata.mode == execution_pb2.ExecutionMetadata.RECOVERED
    assert child.spec.metadata.reference_execution.name == before
    assert child.spec.metadata.parent_node_execution == place.node("second", "launch").id
    assert place.phases(after)["n0"] == "RECOVERED"
    assert ran(place, after) == ["n1"]


def test_a_node_whose_execution_succeeded_keeps_that_execution(place):
    place.answer = breaking("after")
    place.run("first")
    place.answer = double
    place.recover("first", "second")
    node = place.node("second", "launch")
    assert node.closure.workflow_node_metadata.executionId.name == child_execution_name(
        "first", "launch", 0
    )
    assert place.phases("second")["launch"] == "RECOVERED"


def test_the_first_attempt_continues_from_the_checkpoint_of_the_last_one(place):
    place.answer = breaking("n0")
    place.run("first", "flows.chain")
    place.answer = double
    place.recover("first", "second")
    failed, again = (x for x in place.executor.attempts if x.key.node_id == "n0")
    assert failed.checkpoint_uri.endswith("/_flytecheckpoints")
    assert again.prev_checkpoint_uri == failed.checkpoint_uri
    assert failed.prev_checkpoint_uri == ""
    node = place.node("first", "n0")
    assert node.closure.task_node_metadata.checkpoint_uri == failed.checkpoint_uri


def test_what_is_gone_from_the_store_runs_again(place):
    place.answer = breaking("n1")
    place.run("first", "flows.chain", n=3)
    uri = place.node("first", "n0").input_uri
    (place.home.objects / uri.partition("/objects/")[2]).unlink()
    place.answer = double
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    assert ran(place, "second") == ["n0", "n1"]


def test_after_a_restart_a_recovery_goes_on_as_one(place):
    place.answer = breaking("n1")
    place.run("first", "flows.chain")
    place.answer = lambda attempt: None
    id = place.specs.execution_get("first").id
    place.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest(id=id, name="second"))
    place.await_(lambda: ran(place, "second"))
    place.backend.stop(grace_s=0)
    place.answer = double
    place.start()
    assert phase(place.end("second")) == "SUCCEEDED"
    assert place.phases("second")["n0"] == "RECOVERED"


def test_recovering_what_is_not_there_is_refused(place):
    id = place.specs.execution_get("nobody").id
    with pytest.raises(RemoteError) as caught:
        place.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest(id=id))
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(RemoteError, match="missing id"):
        place.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest())


def spreading(*broken):
    """Answer at `n0` with two nodes that run the task, else as `breaking`."""

    def answer(attempt):
        if attempt.key.node_id != "n0":
            return breaking(*broken)(attempt)
        inner = task("inner", ["n"], args=["run"])
        return job(
            [node("dn0", inner, {"n": 5}), node("dn1", inner, {"n": "dn0"})], {"o0": "dn1"}, [inner]
        )

    return answer


def test_a_dynamic_node_that_succeeded_is_taken_over_with_its_workflow(place):
    place.answer = spreading("n1")
    assert phase(place.run("first", "flows.chain", n=3)) == "FAILED"
    place.answer = spreading()
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    assert place.phases("second")["n0"] == "RECOVERED"
    assert ran(place, "second") == ["n1"]
    request = node_execution_pb2.GetDynamicNodeWorkflowRequest(id=place.node("second", "n0").id)
    compiled = place.admin.GetDynamicNodeWorkflow(request).compiled_workflow
    assert [one.id for one in compiled.primary.template.nodes] == [
        "start-node",
        "end-node",
        "dn0",
        "dn1",
    ]


def test_a_dynamic_node_whose_nodes_are_gone_runs_again(place):
    place.answer = spreading("n0-0-dn1")
    place.run("first", "flows.chain", n=3)
    place.executor.blobs.delete(place.node("first", "n0").closure.dynamic_job_spec_uri)
    place.answer = spreading()
    assert phase(place.recover("first", "second")) == "SUCCEEDED"
    assert ran(place, "second") == ["n0", "n0-0-dn1", "n1"]


def test_a_recovered_dynamic_node_goes_on_over_a_restart(place):
    place.answer = spreading("n0-0-dn1")
    place.run("first", "flows.chain", n=3)
    place.answer = lambda attempt: None  # it hangs
    id = place.specs.execution_get("first").id
    place.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest(id=id, name="second"))
    place.await_(lambda: ran(place, "second") == ["n0-0-dn1"])
    place.backend.stop(grace_s=0)
    place.answer = spreading()
    place.start()
    assert phase(place.end("second")) == "SUCCEEDED"
