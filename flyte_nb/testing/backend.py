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
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2
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
)

Call = Callable[[Any], Any]

_grpc: Any = grpc
"""grpcio's own functions carry no types."""


class Calls:
    """flyteidl's calls as attributes: `calls.CreateTask(request)`; refusals are `RemoteError`.

    The same tests run over both kinds, so that what gRPC adds is tested and nothing else differs.
    """

    def __init__(self, call_of: Callable[[str, Any, Any], Call]) -> None:
        """Args: `call_of` gives the call for a path, a request's class and an answer's class."""
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
    """Calls that go straight to the backend's services."""

    def call_of(path: str, request_class: Any, answer_class: Any) -> Call:
        name = path.rpartition("/")[2]

        def call(request: Any) -> Any:
            if name not in backend.rpcs:
                raise RemoteError("Method not found!", code="UNIMPLEMENTED")
            # A service may change what it is given, as it would its own parsed copy.
            answer = backend.rpcs[name](request_class.FromString(request.SerializeToString()))
            if isinstance(answer, Noted):
                answer = answer.answer
            blob = answer if isinstance(answer, bytes) else answer.SerializeToString()
            return answer_class.FromString(blob)

        return call

    return Calls(call_of)


@contextmanager
def grpc_calls(endpoint: str, token: str) -> Iterator[Calls]:
    """Calls over a channel of their own, with the token."""
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
    """A backend in this process on `folder`, stopped at the end.

    Args:
        folder: Its home; made when it is not there. A second backend may follow on the same folder.
        make_engine: Another engine than propeller's with processes.
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
    """A running backend with a new home."""
    with running_backend(tmp_path / "home") as running:
        yield running
