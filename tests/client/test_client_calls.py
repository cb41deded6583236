import sys
import threading

import grpc
import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionCreateResponse
from flyteidl.admin.project_pb2 import Project, ProjectListRequest, Projects
from flyteidl.admin.task_pb2 import Task, TaskCreateRequest, TaskCreateResponse
from flyteidl.core.identifier_pb2 import Identifier

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.client.auth import Credentials, credentials_of
from flyte_nb.client.config import AuthConfig, Config


def refuse(code, text="no"):
    def answer(request, context):
        context.abort(code, text)

    return answer


def test_an_answer_comes_back_and_is_counted(admin, make_client):
    admin.answers["ListProjects"] = (
        lambda request, context: Projects(projects=[Project(id="a")]),
        ProjectListRequest,
    )
    client = make_client()
    assert client.call("ListProjects", ProjectListRequest()).projects[0].id == "a"
    assert client.rpcs == 1
    assert client.metered().rpcs == 0


def test_a_refusal_names_the_code_what_was_done_and_what_to_do(admin, make_client):
    admin.answers["GetTask"] = (
        refuse(grpc.StatusCode.PERMISSION_DENIED, "not yours"),
        ObjectGetRequest,
    )
    with pytest.raises(RemoteError, match="Reading a task: not yours") as caught:
        make_client().call("GetTask", ObjectGetRequest(), doing="Reading a task")
    assert caught.value.code == "PERMISSION_DENIED"
    assert "project and domain" in caught.value.hint


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN]
)
def test_only_unavailability_is_tried_again(admin, make_client, code):
    admin.answers["GetTask"] = (refuse(code), ObjectGetRequest)
    with pytest.raises(RemoteError):
        make_client().call("GetTask", ObjectGetRequest())
    assert admin.calls["GetTask"] == 1


def test_a_read_is_tried_again_until_the_server_answers(admin, make_client):
    def answer(request, context):
        if admin.calls["GetTask"] < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "soon")
        return Task(id=Identifier(name="t"))

    pauses = []
    admin.answers["GetTask"] = (answer, ObjectGetRequest)
    client = make_client(pause=pauses.append)
    assert client.call("GetTask", ObjectGetRequest()).id.name == "t"
    assert pauses == [0.05, 0.1]


def test_an_unnamed_creation_is_never_sent_twice(admin, make_client):
    admin.answers["CreateExecution"] = (
        refuse(grpc.StatusCode.UNAVAILABLE),
        ExecutionCreateRequest,
    )
    with pytest.raises(RemoteError, match="cannot be reached"):
        make_client().call("CreateExecution", ExecutionCreateRequest())
    assert admin.calls["CreateExecution"] == 1
    assert ExecutionCreateResponse is not None


def test_a_server_that_moved_is_found_again(admin, make_client):
    admin.answers["ListProjects"] = (lambda request, context: Projects(), ProjectListRequest)
    client = make_client()
    client.call("ListProjects", ProjectListRequest())
    admin.stop()
    admin.start()  # on another port
    assert client.call("ListProjects", ProjectListRequest()) == Projects()


def test_many_calls_keep_their_order_and_one_refusal_hides_no_other(admin, make_client):
    def answer(request, context):
        if request.id.name == "t3":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad t3")
        return TaskCreateResponse()

    admin.answers["CreateTask"] = (answer, TaskCreateRequest)
    requests = [TaskCreateRequest(id=Identifier(name=f"t{n}")) for n in range(150)]
    answers = list(make_client().call_all("CreateTask", requests))
    refused = [n for n, item in enumerate(answers) if isinstance(item, RemoteError)]
    assert (len(answers), refused) == (150, [3])


def test_a_caller_that_stops_early_leaves_the_rest_unsent(admin, make_client):
    admin.answers["CreateTask"] = (lambda request, context: TaskCreateResponse(), TaskCreateRequest)
    answers = make_client().call_all("CreateTask", [TaskCreateRequest()] * 500)
    next(answers)
    answers.close()
    assert admin.calls["CreateTask"] < 200


def needs_token(admin, good):
    def answer(request, context):
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {good}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")
        return Projects()

    admin.answers["ListProjects"] = (answer, ProjectListRequest)


def test_a_token_is_fetched_when_it_is_asked_for_and_once_for_many_calls(admin, make_client):
    needs_token(admin, "good")
    fetched = []
    lock = threading.Lock()

    def fetch():
        with lock:
            fetched.append(1)
        return "good"

    client = make_client(Credentials(fetch))
    answers = list(client.call_all("ListProjects", [ProjectListRequest()] * 40))
    assert answers == [Projects()] * 40
    assert len(fetched) == 1


def test_a_token_that_is_refused_is_not_fetched_in_a_loop(admin, make_client):
    needs_token(admin, "good")
    fetched = []
    client = make_client(Credentials(lambda: fetched.append(1) or "bad"))
    for _ in range(3):
        with pytest.raises(RemoteError, match="who are you"):
            client.call("ListProjects", ProjectListRequest())
    assert len(fetched) <= 3
    assert admin.calls["ListProjects"] <= 4


def test_a_command_that_fails_is_run_once_however_many_calls_are_refused(
    admin, make_client, tmp_path
):
    needs_token(admin, "good")
    log = tmp_path / "log"
    script = f"open({str(log)!r}, 'a').write('x'); raise SystemExit('locked out')"
    config = Config("a:1", auth=AuthConfig("ExternalCommand", (sys.executable, "-c", script)))
    client = make_client(credentials_of(config, env={}, token_endpoint=str))
    for _ in range(3):
        with pytest.raises(RemoteError, match="locked out"):
            client.call("ListProjects", ProjectListRequest())
    assert log.read_text() == "x"


def test_an_external_command_gives_the_token(admin, make_client):
    needs_token(admin, "good")
    auth = AuthConfig("ExternalCommand", (sys.executable, "-c", "print('good')"))
    credentials = credentials_of(Config("a:1", auth=auth), env={}, token_endpoint=str)
    assert make_client(credentials).call("ListProjects", ProjectListRequest()) == Projects()


def test_a_way_to_sign_in_that_is_not_supported_names_those_that_are(admin, make_client):
    needs_token(admin, "good")
    config = Config("a:1", auth=AuthConfig("Pkce"), source="config.yaml")
    credentials = credentials_of(config, env={}, token_endpoint=str)
    with pytest.raises(RemoteError, match="ExternalCommand") as caught:
        make_client(credentials).call("ListProjects", ProjectListRequest())
    assert caught.value.code == "UNAUTHENTICATED"


def test_an_unsupported_way_to_sign_in_does_no_harm_where_no_token_is_asked_for(admin, make_client):
    admin.answers["ListProjects"] = (lambda request, context: Projects(), ProjectListRequest)
    credentials = credentials_of(
        Config("a:1", auth=AuthConfig("DeviceFlow")), env={}, token_endpoint=str
    )
    assert make_client(credentials).call("ListProjects", ProjectListRequest()) == Projects()


def test_an_error_for_an_address_where_nothing_listens_says_where_and_what_to_check(make_client):
    client = make_client(config=Config("127.0.0.1:1", insecure=True))
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:1 cannot be reached") as caught:
        client.call("ListProjects", ProjectListRequest())
    assert caught.value.code == "UNAVAILABLE"


def test_a_certificate_that_cannot_be_read_is_named(make_client):
    client = make_client(config=Config("127.0.0.1:1", ca_cert_file="/nowhere/ca.pem"))
    with pytest.raises(UsageError, match="caCertFilePath"):
        client.call("ListProjects", ProjectListRequest())
