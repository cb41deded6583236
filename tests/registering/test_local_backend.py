"""The local backend's own calls: made to it, and to no other FlyteAdmin."""

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, ExecutionId, Identifier
from flyte_nb.client.config import Config
from flyte_nb.registering.local_backend import LocalBackend, own_calls

F = Identifier(TASK, "p", "d", "nb.f", "v1")
RUN = ExecutionId("p", "d", "e1")


@pytest.fixture
def received(admin):
    """Return a function that sets how the server answers, and returns the list of requests that arrive."""
    received = []

    def answering(answer):
        def answered(request, context):
            received.append(request.value)
            return answer(request, context)

        admin.answers["Keep"] = admin.answers["Lend"] = (answered, StringValue)
        return received

    return answering


def refusing(code):
    return lambda request, context: context.abort(code, "no")


def as_a_local_backend(request, context):
    if not request.value:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no JSON")
    return StringValue(value='{"wanted": [["g", "k", ""]]}')


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE])
def test_at_a_configured_loopback_address_an_empty_call_finds_out_who_is_there(
    received, make_client, monkeypatch, code
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    came = received(refusing(code))
    calls, client = own_calls(Config("127.0.0.1:30080")), make_client()
    calls.keep(client, [(F, "")])
    calls.lend(client, RUN, F._replace(resource_type=LAUNCH_PLAN))
    assert came == [""]


def test_of_a_cluster_nothing_is_asked(received, make_client):
    came = received(refusing(grpc.StatusCode.INTERNAL))
    calls, client = own_calls(Config("flyte.example.com:443")), make_client()
    calls.keep(client, [(F, "")])
    calls.lend(client, RUN, F)
    assert came == []


def test_a_configured_local_backend_is_found_once_and_then_used(received, make_client):
    came = received(as_a_local_backend)
    calls, client = own_calls(Config("localhost:4711")), make_client()
    calls.keep(client, [(F, "file:///index.json")])
    calls.keep(client, [(F, "file:///index.json")])
    assert len(came) == 3
    assert "nb.f" in came[1]
    assert "file:///index.json" in came[1]


def test_secrets_are_sent_when_they_are_wanted_and_known_here(received, make_client, monkeypatch):
    came = received(as_a_local_backend)
    calls, client = LocalBackend(), make_client()
    calls.lend(client, RUN, F)
    assert len(came) == 1
    monkeypatch.setenv("_FSEC_G_K", "sesame")
    monkeypatch.setenv("_FSEC_G_OTHER", "not asked for")
    calls.lend(client, RUN, F)
    assert len(came) == 3
    assert '"secrets": {"G_K": "sesame"}' in came[2]
    assert "not asked for" not in came[2]


def test_a_backend_of_an_earlier_release_is_asked_once(received, make_client):
    came = received(refusing(grpc.StatusCode.UNIMPLEMENTED))
    calls, client = LocalBackend(), make_client()
    calls.keep(client, [(F, "")])
    calls.keep(client, [(F, "")])
    calls.lend(client, RUN, F)
    assert len(came) == 1


def test_a_refusal_is_raised(received, make_client):
    received(refusing(grpc.StatusCode.RESOURCE_EXHAUSTED))
    with pytest.raises(RemoteError, match="no"):
        LocalBackend().keep(make_client(), [(F, "")])


def test_a_notice_is_shown_once():
    calls = LocalBackend()
    with pytest.warns(UserWarning, match="of an older release") as shown:
        calls.say("It is of an older release.")
    assert len(shown) == 1
    calls.say("It is of an older release.")  # a second warning would be an error here
    calls.say("")
