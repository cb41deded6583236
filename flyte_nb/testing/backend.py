"""A local backend for tests: on a folder of its own, in this process, called directly or by gRPC.

from flyte_nb.testing.backend import backend  # a pytest fixture

def test_something(backend):
with grpc_calls(backend.endpoint, backend.home.token()) as admin:
admin.GetVersion(GetVersionRequest())
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from google.protobuf import message_factory

from flyte_nb.admin.home import Home
from flyte_nb.admin.server import Backend, EngineFactory
from flyte_nb.admin.service_parts import Noted
from flyte_nb.api.errors import RemoteError

_SERVICES = (
    (admin_pb2, "AdminService"),
    (dataproxy_pb2, "DataProxyService"),
    (identity_pb2, "IdentityService"),
    (auth_pb2, "AuthMetadataService"),
    (signal_pb2, "SignalService"),
)

Call = Callable[[Any], Any]

_grpc: Any = grpc
"""grpcio without types: its functions have no annotations, which strict checking refuses to call."""


class Calls:
    """Every call of flyteidl's services as an attribute: `calls.CreateTask(request)`.

    A refused call raises `RemoteError`. The same tests run in process and over gRPC, so that what gRPC
    adds is tested and nothing else differs.
    """

    def __init__(self, call_of: Callable[[str, Any, Any], Call]) -> None:
        """Args: `call_of` returns the call for a path, a request's class and an answer's class."""
        self._calls: dict[str, Call] = {}
        for module, service_name in _SERVICES:
            service = module.DESCRIPTOR.services_by_name[service_name]
            for method in service.methods:
                self._calls[method.name] = call_of(
                    f"/{service.full_name}/{method.name}",
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                )

    def __getattr__(self, name: str) -> Call:
        try:
            return self._calls[name]
        except KeyError:
            raise AttributeError(name) from None


def in_process_calls(backend: Backend) -> Calls:
    """Return calls that go straight to the backend's services, without gRPC."""

    def call_of(path: str, request_class: Any, answer_class: Any) -> Call:
        name = path.rpartition("/")[2]

        def call(request: Any) -> Any:
            if name not in backend.rpcs:
                raise RemoteError("Method not found!", code="UNIMPLEMENTED")
            # A service may change its request. gRPC gives it a copy of its own, and so does this.
            answer = backend.rpcs[name](request_class.FromString(request.SerializeToString()))
            if isinstance(answer, Noted):
                answer = answer.answer
            blob = answer if isinstance(answer, bytes) else answer.SerializeToString()
            return answer_class.FromString(blob)

        return call

    return Calls(call_of)


@contextmanager
def grpc_calls(endpoint: str, token: str) -> Iterator[Calls]:
    """Yield calls over a gRPC channel of their own, with the token.

    Args:
        endpoint: `host:port`, without TLS.
        token: The backend's token; a wrong one is refused with UNAUTHENTICATED.
    """
    metadata = (("authorization", f"Bearer {token}"),)
    with _grpc.insecure_channel(endpoint) as channel:

        def call_of(path: str, request_class: Any, answer_class: Any) -> Call:
            stub = channel.unary_unary(
                path,
                request_serializer=request_class.SerializeToString,
                response_deserializer=answer_class.FromString,
            )

            def call(request: Any) -> Any:
                try:
                    return stub(request, metadata=metadata, timeout=120)
                except _grpc.RpcError as error:
                    raise RemoteError(error.details(), code=error.code().name) from error

            return call

        yield Calls(call_of)


@contextmanager
def running_backend(
    folder: Path, *, make_engine: "EngineFactory | None" = None
) -> Iterator[Backend]:
    """Start a backend in this process, yield it, and stop it at the end.

    Args:
        folder: The backend's home; created when it is not there. A second backend may follow on it.
        make_engine: Makes the engine; default: propeller's, which runs attempts as processes.
    """
    home = Home(folder)
    home.prepare()
    backend = Backend(home, make_engine=make_engine)
    backend.start()
    try:
        yield backend
    finally:
        backend.stop(grace_s=0)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """Yield a running backend with a new home (a pytest fixture)."""
    with running_backend(tmp_path / "home") as running:
        yield running
