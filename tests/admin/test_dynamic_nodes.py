"""What clients see of a dynamic node: its flags, its workflow, and the nodes below it."""

import pytest
from flyteidl.admin import node_execution_pb2
from flyteidl.core import compiler_pb2, identifier_pb2

from flyte_nb.admin.moments import now_us
from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import NodeRecord, WorkflowRecord

ID = ExecutionId("flytesnacks", "development", "run-1")


def node_id(name="n0"):
    run = identifier_pb2.WorkflowExecutionIdentifier(
        project=ID.project, domain=ID.domain, name=ID.name
    )
    return identifier_pb2.NodeExecutionIdentifier(execution_id=run, node_id=name)


@pytest.fixture
def running(registered, specs, engine):
    """An execution whose node `n0` is about to run what its dynamic task made; gives the closure's URI."""
    registered.CreateExecution(specs.execution_request(name=ID.name, n=1))
    closure = compiler_pb2.CompiledWorkflowClosure()
    closure.primary.template.id.name = "dynamic_n0"
    closure.primary.template.nodes.add(id="dn0")
    uri = f"{engine.home.storage_root}/run-1/n0/data/0/dynamic_compiled.pb"
    engine.blobs.write(uri, closure.SerializeToString())
    engine.record(ID, WorkflowRecord(now_us(), "RUNNING"))
    for phase in ("QUEUED", "RUNNING"):
        engine.record(ID, NodeRecord(now_us(), "n0", "n0", phase))
    return uri


def grow(engine, uri):
    record = NodeRecord(now_us(), "n0", "n0", "DYNAMIC_RUNNING", is_parent=True)
    engine.record(ID, record._replace(workflow_uri=uri, job_uri="file:///futures.pb"))
    inner = NodeRecord(now_us(), "n0-1-dn0", "dn0", "QUEUED", parent_id="n0", parent_attempt=1)
    engine.record(ID, inner)


def test_a_node_that_has_made_nothing_has_no_dynamic_workflow(registered, running):
    with pytest.raises(RemoteError, match="node does not contain dynamic workflow") as raised:
        registered.GetDynamicNodeWorkflow(
            node_execution_pb2.GetDynamicNodeWorkflowRequest(id=node_id())
        )
    assert raised.value.code == "NOT_FOUND"
    node = registered.GetNodeExecution(node_execution_pb2.NodeExecutionGetRequest(id=node_id()))
    assert not node.metadata.is_dynamic


def test_what_a_dynamic_task_made_is_answered_while_it_runs_and_afterwards(
    registered, engine, running
):
    grow(engine, running)
    for phase in ("DYNAMIC_RUNNING", "SUCCEEDED"):
        request = node_execution_pb2.GetDynamicNodeWorkflowRequest(id=node_id())
        compiled = registered.GetDynamicNodeWorkflow(request).compiled_workflow
        assert [node.id for node in compiled.primary.template.nodes] == ["dn0"]
        data = registered.GetNodeExecutionData(
            node_execution_pb2.NodeExecutionGetDataRequest(id=node_id())
        )
        assert data.dynamic_workflow.id.name == "dynamic_n0"
        assert data.dynamic_workflow.compiled_workflow == compiled
        assert data.dynamic_workflow.dynamic_job_spec_uri == "file:///futures.pb"
        node = registered.GetNodeExecution(node_execution_pb2.NodeExecutionGetRequest(id=node_id()))
        assert (node.metadata.is_dynamic, node.metadata.is_parent_node) == (True, True)
        assert node.closure.dynamic_job_spec_uri == "file:///futures.pb"
        name = type(node.closure).DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_number
        assert name[node.closure.phase].name == phase
        engine.record(ID, NodeRecord(now_us(), "n0", "n0", "SUCCEEDED", output_uri="file:///o"))


def test_its_nodes_are_listed_below_it_with_the_attempt_that_made_them(registered, engine, running):
    grow(engine, running)
    listed = registered.ListNodeExecutions(
        node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=node_id().execution_id, unique_parent_id="n0", limit=10
        )
    ).node_executions
    assert [(one.id.node_id, one.metadata.retry_group) for one in listed] == [("n0-1-dn0", "1")]


def test_a_workflow_whose_file_is_gone_does_not_hide_the_values_of_its_node(
    registered, engine, running
):
    grow(engine, running)
    engine.blobs.delete(running)
    data = registered.GetNodeExecutionData(
        node_execution_pb2.NodeExecutionGetDataRequest(id=node_id())
    )
    assert not data.HasField("dynamic_workflow")
    with pytest.raises(RemoteError, match="Unable to read WorkflowClosure from location"):
        registered.GetDynamicNodeWorkflow(
            node_execution_pb2.GetDynamicNodeWorkflowRequest(id=node_id())
        )


def test_nodes_can_be_filtered_by_whether_they_made_a_workflow(registered, engine, running):
    grow(engine, running)
    listed = registered.ListNodeExecutions(
        node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=node_id().execution_id,
            filters=f"eq(dynamic_workflow_remote_closure_reference,{running})",
            limit=10,
        )
    ).node_executions
    assert [one.id.node_id for one in listed] == ["n0"]
