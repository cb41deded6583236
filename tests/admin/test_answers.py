"""Refusals fit into what clients accept: gRPC drops an answer whose trailing metadata is over 8 KiB."""

import threading

import grpc
import pytest
from flyteidl.admin import project_pb2, task_pb2, version_pb2, workflow_pb2
from flyteidl.service import admin_pb2_grpc
from google.rpc import status_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from flyte_nb.admin.answers import ROOM_BYTES, answer, as_metadata, room_of
from flyte_nb.admin.refused import Refused
from flyte_nb.api.call_metadata import ERROR_BYTES_KEY, NOTICE_KEY
from flyte_nb.api.visible import plain

CREATE_TASK = "/flyteidl.service.AdminService/CreateTask"
GET_CLIENT_CONFIG = "/flyteidl.service.AuthMetadataService/GetPublicClientConfig"


@pytest.fixture
def channel(hand_backend):
    with grpc.insecure_channel(hand_backend.endpoint) as channel:
        yield channel


@pytest.fixture
def bearer(hand_backend):
    return (("authorization", f"Bearer {hand_backend.home.token()}"),)


@pytest.fixture
def admin_stub(channel):
    return admin_pb2_grpc.AdminServiceStub(channel)


def refusal_of(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value


# --- how long it is -------------------------------------------------------------------------


@given(st.text(max_size=9000), st.booleans())
@example("x" * 7600, False)
@example("\n" * 40_000, True)
@example("ß" * 20_000, False)
@example("\ud800" * 3, True)
def test_an_answer_fits_and_has_the_beginning_of_the_text(text, with_detail):
    detail = project_pb2.InactiveProject(id="p" * 100) if with_detail else None
    sent = answer(Refused("INVALID_ARGUMENT", text, detail), 3)
    assert wire_length(sent) <= ROOM_BYTES
    kept = sent.text.partition(" ... (cut: ")[0]
    # Errors spell control characters, so that no terminal obeys them.
    assert plain(text).encode("utf-8", "replace").decode().startswith(kept)
    assert (detail is None) == (sent.metadata == ())
    for _, blob in sent.metadata:
        status = status_pb2.Status.FromString(blob)
        assert (status.code, status.message) == (3, sent.text)


def wire_length(sent):
    text = sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in sent.text.encode())
    return text + 44 + sum(len(key) + 32 + (len(blob) + 2) // 3 * 4 for key, blob in sent.metadata)


def test_a_detail_that_does_not_fit_is_left_out_and_the_text_stays():
    sent = answer(Refused("NOT_FOUND", "gone", project_pb2.InactiveProject(id="p" * 9000)), 5)
    assert sent == ("gone", ())


@pytest.mark.parametrize("letter", ["x", "ß", "\n", "%", "😀"])
def test_a_stock_client_reads_the_beginning_of_a_long_text(admin_stub, bearer, specs, letter):
    request = specs.get_request("WORKFLOW", letter * 40_000)
    for _ in range(5):  # above 8 KiB gRPC drops at random
        error = refusal_of(admin_stub.GetWorkflow, request, metadata=bearer)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert error.details().startswith("missing entity of type WORKFLOW")


def test_a_long_difference_reaches_a_stock_client_with_its_detail(admin_stub, bearer, specs):
    admin_stub.CreateTask(specs.task_request(), metadata=bearer)
    admin_stub.CreateWorkflow(specs.workflow_request(length=60), metadata=bearer)
    changed = specs.workflow_request(length=60)
    for node in changed.spec.template.nodes:
        node.metadata.name = "größer" * 30
    error = refusal_of(admin_stub.CreateWorkflow, changed, metadata=bearer)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "with different structure already exists" in error.details()
    assert "backend.log" in error.details()
    blob = dict(error.trailing_metadata())["grpc-status-details-bin"]
    reason = workflow_pb2.CreateWorkflowFailureReason()
    assert status_pb2.Status.FromString(blob).details[0].Unpack(reason)


def test_a_client_that_accepts_more_metadata_gets_more_and_the_log_has_all(
    hand_backend, bearer, specs, caplog
):
    caplog.set_level("INFO", "flyte_nb")
    options = [("grpc.max_metadata_size", 64_000)]
    name = "x" * 1900
    request = specs.task_request(name)
    request.id.version = "v" * 12_000
    with grpc.insecure_channel(hand_backend.endpoint, options=options) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        stub.CreateTask(request, metadata=bearer)
        changed = specs.task_request(name)
        changed.id.version = "v" * 12_000
        changed.spec.template.custom["text"] = "c" * 12_000
        short = refusal_of(stub.CreateTask, changed, metadata=bearer)
        more = (*bearer, (ERROR_BYTES_KEY, "32000"))
        whole = refusal_of(stub.CreateTask, changed, metadata=more)
    assert len(short.details()) < 8_000 < 12_000 < len(whole.details())
    assert "c" * 12_000 in whole.details()
    assert "c" * 12_000 in caplog.text


@pytest.mark.parametrize("said", ["", "1", "-5", "9" * 12, "many", "٣"])
def test_a_senseless_number_of_bytes_counts_as_none(said):
    assert room_of([(ERROR_BYTES_KEY, said), ("other", "1")]) == ROOM_BYTES


@given(st.text(max_size=100))
def test_a_notice_is_printable_ascii_on_one_line(text):
    assert all(" " <= each <= "~" for each in as_metadata(text))


# --- who may call ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "Bearer {}")],
        [("authorization", "bearer {}")],
        [("flyte-authorization", "Bearer {}")],
        [("authorization", "Basic cHJveHk6"), ("flyte-authorization", "Bearer {}")],
        [("flyte-authorization", "Bearer stale"), ("authorization", "Bearer {}")],
    ],
)
def test_the_token_may_come_in_either_metadata_key(admin_stub, hand_backend, metadata):
    filled = [(key, value.format(hand_backend.home.token())) for key, value in metadata]
    admin_stub.GetVersion(version_pb2.GetVersionRequest(), metadata=filled)


@pytest.mark.parametrize("value", ["Bearer wrong", "{}", "Basic {}", "Bearer  {}", "Bearer {} x"])
def test_a_wrong_token_is_refused_in_either_metadata_key(admin_stub, hand_backend, value):
    for key in ("authorization", "flyte-authorization"):
        metadata = ((key, value.format(hand_backend.home.token())),)
        error = refusal_of(
            admin_stub.GetVersion, version_pb2.GetVersionRequest(), metadata=metadata
        )
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.timeout(60)
def test_a_call_without_the_token_is_refused_before_its_request_is_read(channel):
    comes = threading.Event()

    def message():
        comes.wait()
        yield b""

    try:
        call = channel.stream_unary(CREATE_TASK)
        for _ in range(300):  # more than there are threads
            error = refusal_of(call, message(), timeout=20)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        comes.set()


@pytest.mark.timeout(60)
def test_a_call_that_needs_no_token_reads_no_request(channel):
    comes = threading.Event()

    def message():
        comes.wait()
        yield b""

    try:
        call = channel.stream_unary(GET_CLIENT_CONFIG)
        assert all(call(message(), timeout=20) for _ in range(3))
    finally:
        comes.set()


# --- what is no message ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x0a\x7f", b"\x0a\x02\x0a\xff", b"\x0b" * 200, b"\x12\x02\x0a\x04abc"]
)
def test_bytes_that_are_no_message_are_an_invalid_argument(channel, bearer, data):
    error = refusal_of(channel.unary_unary(CREATE_TASK), data, metadata=bearer)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert task_pb2.TaskCreateRequest.DESCRIPTOR.full_name in error.details()


def test_the_watch_stream_refuses_bytes_that_are_no_message(channel, bearer):
    stream = channel.unary_stream("/flyte_nb.Watch/Executions")
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(b"\xff", metadata=bearer))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# --- what is carried out, and said all the same -----------------------------------------------


def test_activating_a_schedule_answers_with_a_notice_that_it_starts_nothing(
    admin_stub, bearer, specs, caplog
):
    admin_stub.CreateTask(specs.task_request(), metadata=bearer)
    admin_stub.CreateWorkflow(specs.workflow_request(), metadata=bearer)
    request = specs.launch_plan_request("nightly")
    request.spec.fixed_inputs.CopyFrom(specs.literals(n=1))
    request.spec.entity_metadata.schedule.cron_schedule.schedule = "0 3 * * *"
    admin_stub.CreateLaunchPlan(request, metadata=bearer)
    update = specs.launch_plan_update("nightly", active=True)
    _, call = admin_stub.UpdateLaunchPlan.with_call(update, metadata=bearer)
    notice = dict(call.trailing_metadata())[NOTICE_KEY]
    assert "nightly" in notice
    assert "no scheduler" in notice
    assert "no scheduler" in caplog.text
    plan = admin_stub.GetLaunchPlan(specs.get_request("LAUNCH_PLAN", "nightly"), metadata=bearer)
    assert plan.closure.state == 1
    for quiet in (
        specs.launch_plan_update("nightly", active=False),
        plain_plan(admin_stub, bearer, specs),
    ):
        _, call = admin_stub.UpdateLaunchPlan.with_call(quiet, metadata=bearer)
        assert NOTICE_KEY not in dict(call.trailing_metadata())


def plain_plan(admin_stub, bearer, specs):
    admin_stub.CreateLaunchPlan(specs.launch_plan_request(), metadata=bearer)
    return specs.launch_plan_update("flows.chain", active=True)
