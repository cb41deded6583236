"""For all tests: a scriptable FlyteAdmin, and how properties run.

A property is not timed, so that a busy machine is no failure.

In CI (`CI=true`) a property has the same examples every time, so that what fails there fails here;
elsewhere it searches on.
"""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from hypothesis import HealthCheck, settings

from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.auth import Credentials
from flyte_nb.client.channel import Link, Target
from flyte_nb.client.config import Config
from flyte_nb.testing.waiting import Gate

settings.register_profile(
    "flyte_nb",
    settings(),
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("flyte_nb")


def pytest_collection_modifyitems(items):
    """Leave properties out of coverage: it makes them three times slower, and what they reach is chance."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture
def gate(tmp_path):
    """A closed gate: a task's body waits there by `open(path).close()` until the test opens it."""
    with Gate(tmp_path / "gate") as gate:
        yield gate


class ScriptedAdmin:
    """A FlyteAdmin over real gRPC. Each method answers by its function, which may abort the call."""

    def __init__(self) -> None:
        self.answers = {}
        self.calls = Counter()
        self.streams = {}
        self.metadata = []
        self._lock = threading.Lock()
        self._server = None
        self.port = 0

    def start(self, port: int = 0) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(8), handlers=(self._handlers(),), options=(("grpc.so_reuseport", 0),)
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def _handlers(self):
        admin = self

        class Handlers(grpc.GenericRpcHandler):
            def service(self, call):
                method = call.method.rpartition("/")[2]
                if call.method in admin.streams:
                    return grpc.unary_stream_rpc_method_handler(
                        lambda request, context: admin.streams[call.method](request, context),
                        response_serializer=lambda message: message.SerializeToString(),
                    )
                if method not in admin.answers:
                    return None
                answer, request_type = admin.answers[method]

                def serve(data, context):
                    with admin._lock:
                        admin.calls[method] += 1
                        admin.metadata.append(dict(context.invocation_metadata()))
                    return answer(request_type.FromString(data), context)

                return grpc.unary_unary_rpc_method_handler(
                    serve, response_serializer=lambda message: message.SerializeToString()
                )

        return Handlers()


@pytest.fixture
def admin():
    served = ScriptedAdmin()
    served.start()
    yield served
    served.stop()


@pytest.fixture
def make_client(admin):
    links = []

    def make(credentials=None, *, config=None, pause=lambda seconds: None, key=lambda: ""):
        def locate():
            found = config or Config(f"127.0.0.1:{admin.port}", insecure=True)
            return Target(found, credentials or Credentials(lambda: ""), found.endpoint + key())

        link = Link(locate)
        links.append(link)
        return AdminClient(link, pause=pause)

    yield make
    for link in links:
        link.close()
