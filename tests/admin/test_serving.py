"""What only gRPC has: the token, statuses and details, unknown calls, keepalive, the port."""

import socket
import sqlite3
import threading

import grpc
import pytest
from flyteidl.admin import execution_pb2, version_pb2, workflow_pb2
from flyteidl.service import admin_pb2_grpc, auth_pb2, auth_pb2_grpc
from google.rpc import status_pb2

from flyte_nb.admin.home import Home
from flyte_nb.admin.refused import Refused
from flyte_nb.admin.rpc import failure
from flyte_nb.admin.server import Backend
from flyte_nb.api.errors import RemoteError, StorageError


@pytest.fixture
def channel(hand_backend):
    with grpc.insecure_channel(hand_backend.endpoint) as channel:
        yield channel


@pytest.fixture
def bearer(hand_backend):
    return (("authorization", f"Bearer {hand_backend.home.token()}"),)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ((), "had none"),
        ((("authorization", "Bearer wrong"),), "is not this backend's"),
        ((("authorization", "wrong"),), "is not this backend's"),
    ],
)
def test_a_call_without_the_token_is_refused_with_what_to_do(
    channel, hand_backend, metadata, words
):
    stub = admin_pb2_grpc.AdminServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetVersion(version_pb2.GetVersionRequest(), metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert words in caught.value.details()
    assert str(hand_backend.home.config_file) in caught.value.details()


def test_the_watch_stream_asks_for_the_token_too(channel, specs):
    stream = channel.unary_stream("/flyte_nb.Watch/Executions")
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(specs.execution_get("run-1").SerializeToString()))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_how_to_sign_in_is_answered_without_a_token(channel):
    stub = auth_pb2_grpc.AuthMetadataServiceStub(channel)
    answer = stub.GetPublicClientConfig(auth_pb2.PublicClientAuthConfigRequest())
    assert answer.authorization_metadata_key == "authorization"
    stub.GetOAuth2Metadata(auth_pb2.OAuth2MetadataRequest())


def test_calls_that_are_not_served_are_unimplemented(channel, bearer):
    stub = admin_pb2_grpc.AdminServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetExecutionMetrics(
            execution_pb2.WorkflowExecutionGetMetricsRequest(), metadata=bearer
        )
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_refusal_carries_flytes_detail(channel, bearer, specs):
    stub = admin_pb2_grpc.AdminServiceStub(channel)
    stub.CreateTask(specs.task_request(), metadata=bearer)
    stub.CreateWorkflow(specs.workflow_request(), metadata=bearer)
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateWorkflow(specs.workflow_request(), metadata=bearer)
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    reason = workflow_pb2.CreateWorkflowFailureReason()
    assert status.details[0].Unpack(reason)
    assert reason.exists_identical_structure.id == specs.id_of("WORKFLOW", "flows.chain")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyError("x"), "INTERNAL", "KeyError: 'x'"),
        (ZeroDivisionError(), "INTERNAL", "ZeroDivisionError: ZeroDivisionError"),
        (StorageError("The object is gone."), "INTERNAL", "The object is gone."),
        (OSError(28, "No space left on device"), "RESOURCE_EXHAUSTED", "Free some space"),
        (sqlite3.OperationalError("database or disk is full"), "RESOURCE_EXHAUSTED", "Free some"),
        (Refused("NOT_FOUND", "nowhere"), "NOT_FOUND", "nowhere"),
    ],
)
def test_no_error_is_unknown_to_a_client(error, code, words):
    refused = failure(error)
    assert refused.code == code
    assert words in refused.message


def test_a_failing_service_is_internal_with_its_text(hand_backend, bearer, specs):
    hand_backend._database.close()
    with grpc.insecure_channel(hand_backend.endpoint) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.CreateTask(specs.task_request(), metadata=bearer)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "closed database" in caught.value.details()


def test_a_text_longer_than_flyteadmins_limit_is_cut(channel, bearer, specs):
    stub = admin_pb2_grpc.AdminServiceStub(channel)
    request = specs.get_request("TASK", "x" * 40_000)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetTask(request, metadata=bearer)
    assert len(caught.value.details().encode()) <= 32_000


def test_the_port_is_kept_when_it_is_free_and_another_taken_when_not(tmp_path, make_engine):
    home = Home(tmp_path / "home")
    home.prepare()
    backend = Backend(home, make_engine=make_engine)
    backend.start()
    port = backend.port
    backend.stop(grace_s=0)
    again = Backend(home, make_engine=make_engine)
    again.start(port=port)
    assert again.port == port
    again.stop(grace_s=0)
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", port))
        foreign.listen()
        third = Backend(home, make_engine=make_engine)
        third.start(port=port)
        assert third.port not in (0, port)
        third.stop(grace_s=0)


def test_a_backend_that_was_stopped_leaves_no_thread(tmp_path, make_engine):
    before = set(threading.enumerate())
    home = Home(tmp_path / "home")
    home.prepare()
    backend = Backend(home, make_engine=make_engine)
    backend.start()
    with grpc.insecure_channel(backend.endpoint) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        stub.GetVersion(
            version_pb2.GetVersionRequest(),
            metadata=(("authorization", f"Bearer {home.token()}"),),
        )
    backend.stop()
    backend.stop()
    left = [t.name for t in set(threading.enumerate()) - before if "flyte-nb" in t.name]
    assert left == []


def test_an_error_of_the_calls_in_process_is_the_same_kind_as_by_grpc(admin, specs):
    with pytest.raises(RemoteError) as caught:
        admin.GetTask(specs.get_request("TASK", "nowhere"))
    assert caught.value.code == "NOT_FOUND"
