"""Many calls in one message, to the real backend and to ones that do not know it."""

import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.project_pb2 import ProjectListRequest, Projects
from flyteidl.core.identifier_pb2 import TASK, Identifier

from flyte_nb.admin.home import Home
from flyte_nb.admin.server import Backend
from flyte_nb.api.errors import RemoteError
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.channel import Link
from flyte_nb.client.targets import local_target

_MISSING = ObjectGetRequest(
    id=Identifier(resource_type=TASK, project="p", domain="d", name="n", version="v")
)


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    backend = Backend(Home(tmp_path_factory.mktemp("many") / "home"))
    backend.home.prepare()
    backend.start()
    yield backend
    backend.stop()


@pytest.fixture
def client(backend):
    link = Link(lambda: local_target(backend.endpoint, backend.home.token(), "a test"))
    yield AdminClient(link)
    link.close()


def test_one_message_carries_calls_of_several_methods_and_their_refusals(client):
    calls = [("ListProjects", ProjectListRequest(limit=5)), ("GetTask", _MISSING)] * 3
    answers = list(client.call_each(calls))
    assert client.rpcs == 1
    assert all(isinstance(answer, Projects) for answer in answers[::2])
    assert {answer.code for answer in answers[1::2]} == {"NOT_FOUND"}


def test_more_than_one_message_holds_goes_in_several(client):
    answers = list(client.call_all("GetTask", [_MISSING] * 1100))
    assert client.rpcs == 3
    assert len(answers) == 1100


def test_a_refusal_says_what_was_done(client):
    answers = client.call_all("GetTask", [_MISSING] * 2, doing=["Looking for a", "Looking for b"])
    assert [str(answer).partition(":")[0] for answer in answers] == [
        "Looking for a",
        "Looking for b",
    ]


def test_a_wrong_token_is_refused_before_anything_is_carried_out(backend):
    link = Link(lambda: local_target(backend.endpoint, "wrong", "a test"))
    answers = list(AdminClient(link).call_all("GetTask", [_MISSING] * 2))
    link.close()
    assert {answer.code for answer in answers} == {"UNAUTHENTICATED"}


def test_a_backend_that_does_not_know_it_gets_the_calls_one_by_one(admin):
    admin.answers["ListProjects"] = (lambda request, context: Projects(), ProjectListRequest)
    link = Link(lambda: local_target(f"127.0.0.1:{admin.port}", "token", "a test"))
    answers = list(AdminClient(link).call_all("ListProjects", [ProjectListRequest()] * 20))
    link.close()
    assert answers == [Projects()] * 20
    assert admin.calls["ListProjects"] == 20


def test_nobody_listening_is_said_of_every_call():
    link = Link(lambda: local_target("127.0.0.1:1", "token", "a test"))
    client = AdminClient(link, pause=lambda seconds: None)
    answers = list(client.call_all("GetTask", [_MISSING] * 3))
    link.close()
    assert [type(answer) for answer in answers] == [RemoteError] * 3
    assert {answer.code for answer in answers} == {"UNAVAILABLE"}
