"""Ids that a client chooses become names of folders: none leads out of them, no two share one."""

import sqlite3
from contextlib import closing

import pytest
from flyteidl.admin import project_pb2
from flyteidl.core import workflow_pb2
from flyteidl.service import dataproxy_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.admin.services.rules import RESERVED
from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import MAX_NODE_ID, is_node_id
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.names import raw_folder
from flyte_nb.propeller.ports import AttemptKey
from flyte_nb.testing.backend import in_process_calls, running_backend

BAD = (
    "../../x",
    "..",
    ".",
    "a/b",
    "/etc",
    "a\\b",
    "a b",
    "n0\n",
    "-n0",
    "_n0",
    "größe",
    "n.0",
    "n\0",
)


def refused(call, *words):
    """Check that the call is refused with INVALID_ARGUMENT and a text that has all `words`."""
    with pytest.raises(RemoteError) as caught:
        call()
    assert caught.value.code == "INVALID_ARGUMENT"
    for word in words:
        assert word in str(caught.value)


# --- nodes ----------------------------------------------------------------------------------


def with_node_id(specs, node_id):
    request = specs.workflow_request(length=1)
    request.spec.template.nodes[0].id = node_id
    request.spec.template.outputs[0].binding.promise.node_id = node_id
    return request


def test_a_node_id_that_cannot_name_a_folder_is_refused_with_the_workflow(admin, specs):
    admin.CreateTask(specs.task_request())
    for node_id in (*BAD, "n" * (MAX_NODE_ID + 1)):
        request = with_node_id(specs, node_id)
        refused(lambda request=request: admin.CreateWorkflow(request), "InvalidNodeId")
    for node_id in ("n0", "N0", "camelCase", "under_score", "0", "n" * MAX_NODE_ID):
        request = with_node_id(specs, node_id)
        request.id.name = request.spec.template.id.name = f"flows.{node_id}"
        admin.CreateWorkflow(request)


def test_ids_inside_of_branches_and_sub_workflows_are_checked_too(admin, specs):
    admin.CreateTask(specs.task_request())
    inner = with_node_id(specs, "../x")
    request = specs.workflow_request("flows.outer", length=1)
    node = request.spec.template.nodes[0]
    node.workflow_node.sub_workflow_ref.CopyFrom(inner.id)
    request.spec.sub_workflows.append(inner.spec.template)
    refused(lambda: admin.CreateWorkflow(request), "InvalidNodeId", "../x")

    request = specs.workflow_request("flows.branch", length=1)
    node = request.spec.template.nodes[0]
    arm = workflow_pb2.Node()
    arm.CopyFrom(node)
    arm.id = "../y"
    block = node.branch_node.if_else
    block.case.then_node.CopyFrom(arm)
    block.else_node.CopyFrom(arm)
    block.else_node.id = "n9"
    comparison = block.case.condition.comparison
    comparison.left_value.var = "n"
    comparison.right_value.primitive.integer = 3
    refused(lambda: admin.CreateWorkflow(request), "InvalidNodeId", "../y")


def test_ids_that_differ_only_in_case_are_refused(admin, specs):
    admin.CreateTask(specs.task_request())
    request = specs.workflow_request(length=2)
    request.spec.template.nodes[1].id = "N0"
    request.spec.template.outputs[0].binding.promise.node_id = "N0"
    refused(lambda: admin.CreateWorkflow(request), "upper and lower case")


def test_a_stored_workflow_with_such_ids_is_not_run(tmp_path, make_engine, specs):
    with running_backend(tmp_path / "home", make_engine=make_engine) as backend:
        calls = in_process_calls(backend)
        calls.CreateTask(specs.task_request())
        calls.CreateWorkflow(specs.workflow_request())
        calls.CreateLaunchPlan(specs.launch_plan_request())
    with closing(sqlite3.connect(tmp_path / "home" / "metastore.db")) as database, database:
        (blob,) = database.execute("SELECT message FROM workflows").fetchone()
        message = blob.replace(b"\x02n1", b"\x02..")
        database.execute("UPDATE workflows SET message = ?", (message,))
    with running_backend(tmp_path / "home", make_engine=make_engine) as backend:
        calls = in_process_calls(backend)
        calls.CreateExecution(specs.execution_request("old-ids", n=1))
        closure = calls.GetExecution(specs.execution_get("old-ids")).closure
    assert closure.error.code == "InvalidArgument"
    assert "'..'" in closure.error.message


@given(st.text(max_size=20))
def test_every_allowed_id_is_one_part_of_a_path(text):
    if is_node_id(text):
        assert "/" not in text
        assert text not in ("", ".", "..")
        assert text.isascii()


# --- executions -----------------------------------------------------------------------------

LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
NODE_IDS = st.from_regex(r"[a-z][-a-z0-9]{0,8}", fullmatch=True)
IDS = st.tuples(
    LABELS, st.sampled_from(["development", "staging"]), LABELS, NODE_IDS, st.integers(0, 11)
)


@given(IDS, IDS)
def test_two_attempts_never_share_a_folder(tmp_path_factory, one, other):
    if one == other:
        return
    places = [folders(tmp_path_factory.getbasetemp(), *each) for each in (one, other)]
    for mine, theirs in zip(*places, strict=True):
        assert not is_within(mine, theirs)
        assert not is_within(theirs, mine)


def folders(home, project, domain, name, node_id, attempt):
    id = ExecutionId(project, domain, name)
    return (
        str(AttemptFolder(home, AttemptKey(id, node_id, attempt)).path),
        raw_folder("/raw", id, node_id, attempt),
    )


def is_within(one, other):
    return f"{one}/".startswith(f"{other}/")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("p", "development", "development-x"), ("p-development", "development", "x")),
        (("propeller", "development", "staging"), ("development", "staging", "propeller")),
        (("p", "development", "x"), ("p", "staging", "x")),
    ],
)
def test_two_executions_never_share_a_folder(one, other):
    roots = [DataLayout("file:///o", ExecutionId(*each)).root for each in (one, other)]
    assert not is_within(roots[0], roots[1])
    assert not is_within(roots[1], roots[0])


def test_no_project_may_have_the_name_of_the_backends_own_folders(admin):
    for name in sorted(RESERVED):
        project = project_pb2.Project(id=name, name=name)
        request = project_pb2.ProjectRegisterRequest(project=project)
        refused(lambda request=request: admin.RegisterProject(request), name)


def test_the_backends_own_folders_are_those_that_are_reserved(hand_backend, registered, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=1))
    made = {each.name for each in hand_backend.home.objects.iterdir()}
    assert made <= RESERVED


# --- uploads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"project": "."},
        {"project": "metadata"},
        {"project": "P"},
        {"project": "p\n"},
        {"domain": "."},
        {"domain": "a/b"},
        {"domain": "raw"},
        {"filename_root": "../other"},
        {"filename_root": "/etc"},
        {"filename_root": ".", "filename": "."},
        {"filename": "a" * 256},
        {"filename": "ß" * 128},
        {"filename_root": "a/" * 2100 + "a"},
        {"filename": "a\0b"},
        {"content_md5": b"short"},
    ],
)
def test_an_upload_stays_below_its_projects_folder(hand_backend, fields):
    given_fields = {
        "project": "flytesnacks", "domain": "development", "filename_root": "root", "filename": "f",
        **fields,
    }  # fmt: skip
    request = dataproxy_pb2.CreateUploadLocationRequest(**given_fields)
    with pytest.raises(RemoteError) as caught:
        hand_backend.rpcs["CreateUploadLocation"](request)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_an_upload_to_a_folder_is_refused(admin, hand_backend):
    (hand_backend.home.objects / "flytesnacks" / "development" / "a" / "b").mkdir(parents=True)
    request = dataproxy_pb2.CreateUploadLocationRequest(
        project="flytesnacks", domain="development", filename_root="a", filename="b"
    )
    refused(lambda: admin.CreateUploadLocation(request), "is a folder")


# --- names that are taken -------------------------------------------------------------------


def test_a_second_execution_with_a_name_is_refused_in_a_sentence(registered, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=1))
    with pytest.raises(RemoteError) as caught:
        registered.CreateExecution(specs.execution_request("run-1", n=1))
    assert caught.value.code == "ALREADY_EXISTS"
    assert "run-1 already exists in flytesnacks/development" in str(caught.value)
    assert "duplicate key" not in str(caught.value)


def test_a_second_project_with_an_id_is_refused_in_a_sentence(admin):
    project = project_pb2.Project(id="flytesnacks", name="again")
    with pytest.raises(RemoteError, match="A project with the id flytesnacks already exists"):
        admin.RegisterProject(project_pb2.ProjectRegisterRequest(project=project))
