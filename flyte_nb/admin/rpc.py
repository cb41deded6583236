"""From gRPC's wire to the services and back: which call is whose, who may call, and how it fails.

Which calls exist, and with which messages, is read from flyteidl's own descriptors. A service
answers with a message, or with bytes that lie ready. Whatever fails gets a status and a text; no
call ever ends UNKNOWN, which makes flytekit start a browser login.
"""

import hmac
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn

import grpc
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2
from google.protobuf import any_pb2, message_factory
from google.protobuf.message import Message
from google.rpc import status_pb2

from flyte_nb.admin.refused import MAX_TEXT_BYTES, Refused
from flyte_nb.admin.service_parts import Rpc
from flyte_nb.api.errors import FlyteNbError

_LOG = logging.getLogger(__name__)
_grpc: Any = grpc
"""grpcio's own functions carry no types."""

Handler = Any
"""A `grpc.RpcMethodHandler`."""

Context = Any
"""A `grpc.ServicerContext`."""

_SERVICES = (
    (admin_pb2, "AdminService"),
    (dataproxy_pb2, "DataProxyService"),
    (identity_pb2, "IdentityService"),
    (auth_pb2, "AuthMetadataService"),
)
_OPEN_SERVICES = frozenset({"AuthMetadataService"})
_CREATIONS = frozenset({"CreateTask", "CreateWorkflow", "CreateLaunchPlan"})

Stream = Callable[[Any, Any], Iterator[bytes]]
"""A call that answers with serialized messages one after the other."""


class Method(NamedTuple):
    """One call that is served."""

    path: str
    request: type[Message]
    rpc: Rpc
    is_open: bool
    """Whether it is answered without a token."""


def unary_methods(rpcs: Mapping[str, Rpc]) -> dict[str, Method]:
    """Every call of flyteidl's services that `rpcs` has, by its path."""
    methods = {}
    for module, service_name in _SERVICES:
        service = module.DESCRIPTOR.services_by_name[service_name]
        for method in service.methods:
            if method.name in rpcs:
                path = f"/{service.full_name}/{method.name}"
                request = message_factory.GetMessageClass(method.input_type)
                is_open = service_name in _OPEN_SERVICES
                methods[path] = Method(path, request, rpcs[method.name], is_open)
    return methods


class Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a call; checks the token before anything of the request is read.

    Args:
        methods: the calls with one answer, by path.
        streams: request and behaviour of those with many.
        token: what a caller must have.
        token_hint: what to do, for one who has none.
        creators: runs registrations, which arrive by the hundred, only compute, and wait for one
            writer, for which a few threads contend less than a thread each.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        streams: "Mapping[str, tuple[type[Message], Stream]]",
        token: str,
        token_hint: str,
        creators: "ThreadPoolExecutor | None" = None,
    ) -> None:
        self._expected = f"Bearer {token}".encode()
        self._open = {path for path, method in methods.items() if method.is_open}
        self._handlers = {path: _unary(method, creators) for path, method in methods.items()}
        for path, (request, stream) in streams.items():
            self._handlers[path] = _stream(request, stream)
        self._missing = _refusing(
            f"This backend asks for a token, and the call had none. {token_hint}"
        )
        self._wrong = _refusing(f"The call's token is not this backend's. {token_hint}")

    def service(self, details: Any) -> Handler:
        """The handler for one call; `None` is answered with UNIMPLEMENTED."""
        handler = self._handlers.get(details.method)
        if handler is None or details.method in self._open:
            return handler
        for key, value in details.invocation_metadata:
            if key == "authorization":
                given = value.encode() if isinstance(value, str) else value
                return handler if hmac.compare_digest(given, self._expected) else self._wrong
        return self._missing


def failure(error: BaseException) -> Refused:
    """What a client is told about any error."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, (sqlite3.OperationalError, OSError)) and _is_full(error):
        return Refused(
            "RESOURCE_EXHAUSTED",
            f"The disk that holds the local backend's folder is full ({error})."
            " Free some space, then try again; nothing was changed.",
        )
    text = str(error) or type(error).__name__
    if not isinstance(error, FlyteNbError):
        text = f"{type(error).__name__}: {text}"
    return Refused("INTERNAL", text)


def _is_full(error: BaseException) -> bool:
    return "full" in str(error) or getattr(error, "errno", None) == 28  # ENOSPC


def _unary(method: Method, creators: "ThreadPoolExecutor | None") -> Handler:
    rpc = method.rpc

    def handle(request: Message, context: Context) -> Any:
        try:
            return rpc(request)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a call
            refused = failure(error)
            if refused.code == "INTERNAL":
                _LOG.exception("%s failed", method.path)
        return _abort(context, refused)

    if method.path.rpartition("/")[2] in _CREATIONS:
        # grpcio's own way to a pool for one call; a release without it uses the server's.
        handle.experimental_thread_pool = creators  # type: ignore[attr-defined]
    return _grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=method.request.FromString, response_serializer=_serialized
    )


def _stream(request: type[Message], stream: Stream) -> Handler:
    def handle(message: Message, context: Context) -> Iterator[bytes]:
        try:
            yield from stream(message, context)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a call
            refused = failure(error)
            if refused.code == "INTERNAL":
                _LOG.exception("a stream failed")
            _abort(context, refused)

    return _grpc.unary_stream_rpc_method_handler(
        handle, request_deserializer=request.FromString, response_serializer=_serialized
    )


def _refusing(text: str) -> Handler:
    def handle(request: bytes, context: Context) -> NoReturn:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        raise AssertionError("abort raises")

    return _grpc.unary_unary_rpc_method_handler(handle)


def _abort(context: Context, refused: Refused) -> NoReturn:
    code = grpc.StatusCode[refused.code]
    text = _cut(refused.message)
    if text == refused.message and refused.detail is not None:
        detail = any_pb2.Any()
        detail.Pack(refused.detail)
        status = status_pb2.Status(code=code.value[0], message=text, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, text)
    raise AssertionError("abort raises")


def _cut(text: str) -> str:
    encoded = text.encode()
    return (
        text if len(encoded) <= MAX_TEXT_BYTES else encoded[:MAX_TEXT_BYTES].decode(errors="ignore")
    )


def _serialized(answer: "Message | bytes") -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
