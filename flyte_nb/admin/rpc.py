"""gRPC in front of the services: find the call, check the token, run it, and answer its failure.

Which calls exist, and with which messages, is read from flyteidl's own descriptors. A service
returns a message, or bytes that are ready to be sent. Every failure gets a status and a text:
INTERNAL only for faults of the backend itself, and never UNKNOWN, for which flytekit starts a
browser login.
"""

import hmac
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn

import grpc
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.answers import answer, as_metadata, room_of
from flyte_nb.admin.refused import Refused, invalid
from flyte_nb.admin.service_parts import Noted, Rpc
from flyte_nb.api.call_metadata import NOTICE_KEY
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
    (signal_pb2, "SignalService"),
)
_TOKEN_KEYS = frozenset({"authorization", "flyte-authorization"})
"""Metadata that may hold the token: gRPC's usual name, and FlyteAdmin's default."""

_MAX_LOGGED = 1_000_000
"""Characters of a refusal in the log, which rotates after 5 MB."""

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
    """Whether it needs no token."""


def unary_methods(rpcs: Mapping[str, Rpc]) -> dict[str, Method]:
    """Return every call of flyteidl's services that `rpcs` has, by its path."""
    methods = {}
    for module, service_name in _SERVICES:
        service = module.DESCRIPTOR.services_by_name[service_name]
        for method in service.methods:
            # The others are answered with UNIMPLEMENTED, as calls of an older FlyteAdmin are.
            if method.name in rpcs:
                path = f"/{service.full_name}/{method.name}"
                request = message_factory.GetMessageClass(method.input_type)
                is_open = service_name in _OPEN_SERVICES
                methods[path] = Method(path, request, rpcs[method.name], is_open)
    return methods


def local_methods(rpcs: Mapping[str, Rpc]) -> dict[str, Method]:
    """Return the calls that flyteidl does not have, by their paths `/flyte_nb.…`.

    Their requests and answers are JSON in a `StringValue`, so that no proto of ours is needed.
    """
    return {
        path: Method(path, StringValue, rpcs[path], is_open=False)
        for path in rpcs
        if path.startswith("/flyte_nb.")
    }


class Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a call. The token is checked before the request is read.

    Args:
        methods: The calls with one answer, by path.
        streams: Request type and behaviour of the calls with many answers, by path.
        token: What a caller must send.
        token_hint: What a caller without it should do.
        creators: A pool of a few threads for registrations. They come by the hundred, compute, and then
            wait for the one writer; a thread for each would only slow down the others.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        streams: "Mapping[str, tuple[type[Message], Stream]]",
        token: str,
        token_hint: str,
        creators: "ThreadPoolExecutor | None" = None,
    ) -> None:
        self._expected = token.encode()
        self._open = {path for path, method in methods.items() if method.is_open}
        self._handlers = {
            path: _unread(method) if method.is_open else _unary(method, creators)
            for path, method in methods.items()
        }
        for path, (request, stream) in streams.items():
            self._handlers[path] = _stream(request, stream)
        # Made once: their texts do not depend on the call.
        self._missing = _refusing(
            f"This backend requires a token, and the call had none. {token_hint}"
        )
        self._wrong = _refusing(f"The call's token is not this backend's. {token_hint}")

    def service(self, details: Any) -> Handler:
        """Return the handler of a call. gRPC answers `None` with UNIMPLEMENTED."""
        handler = self._handlers.get(details.method)
        if handler is None or details.method in self._open:
            return handler
        given = [value for key, value in details.invocation_metadata if key in _TOKEN_KEYS]
        if not given:
            return self._missing
        # A proxy may add an `authorization` of its own; then ours comes in the other key.
        return handler if any(map(self._is_token, given)) else self._wrong

    def _is_token(self, value: "str | bytes") -> bool:
        given = value.encode("utf-8", "replace") if isinstance(value, str) else value
        scheme, _, token = given.partition(b" ")
        # In constant time, so that the time of the answer shows nothing of the token.
        return scheme.lower() == b"bearer" and hmac.compare_digest(token, self._expected)


def failure(error: BaseException) -> Refused:
    """Return the refusal that a client gets for any error."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, (sqlite3.OperationalError, OSError)) and _is_full(error):
        return Refused(
            "RESOURCE_EXHAUSTED",
            f"The disk that holds the local backend's folder is full ({error})."
            " Free some space, then try again; nothing was changed.",
        )
    if isinstance(error, sqlite3.DatabaseError) and _is_damaged(error):
        return Refused(
            "DATA_LOSS",
            f"The local backend's database is damaged ({error}). Stop the backend with"
            " `flyte-nb down` and start it again: it will check the database and say what to do.",
        )
    # Our own errors are sentences. Of others, the type is often the only hint in a log.
    text = str(error) or type(error).__name__
    if not isinstance(error, FlyteNbError):
        text = f"{type(error).__name__}: {text}"
    return Refused("INTERNAL", text)


def _is_full(error: BaseException) -> bool:
    return "full" in str(error) or getattr(error, "errno", None) == 28  # ENOSPC


def _is_damaged(error: BaseException) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)


class _Undecodable(NamedTuple):
    """Stands for a request whose bytes cannot be parsed. gRPC itself would answer INTERNAL."""

    why: str


def _parser(request: type[Message]) -> "Callable[[bytes], Message | _Undecodable]":
    # An exception in a deserializer would end the call before any code of ours could answer it.
    def parse(data: bytes) -> "Message | _Undecodable":
        try:
            return request.FromString(data)
        except (DecodeError, ValueError, RecursionError) as error:
            return _Undecodable(
                f"The request's bytes cannot be read as {request.DESCRIPTOR.full_name}: {error}"
            )

    return parse


def _unary(method: Method, creators: "ThreadPoolExecutor | None") -> Handler:
    def handle(request: "Message | _Undecodable", context: Context) -> Any:
        return _carried_out(method, request, context)

    if method.path.rpartition("/")[2] in _CREATIONS:
        # grpcio reads this attribute of the handler. A release without it uses the server's pool.
        handle.experimental_thread_pool = creators  # type: ignore[attr-defined]
    return _grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=_parser(method.request), response_serializer=_serialized
    )


def _unread(method: Method) -> Handler:
    """Make the handler of a call without a token. It does not read the request, which is always empty.

    Otherwise a client without a token could make the backend read, and keep, 64 MiB for each call.
    """

    def handle(requests: Iterator[bytes], context: Context) -> Any:
        return _carried_out(method, method.request(), context)

    return _grpc.stream_unary_rpc_method_handler(handle, response_serializer=_serialized)


def _carried_out(method: Method, request: "Message | _Undecodable", context: Context) -> Any:
    try:
        if isinstance(request, _Undecodable):
            raise invalid(request.why)
        answered = method.rpc(request)
        if isinstance(answered, Noted):
            notice = as_metadata(answered.notice)
            context.set_trailing_metadata(((NOTICE_KEY, notice),))
            return answered.answer
        return answered
    except Exception as error:  # noqa: BLE001 - the outermost frame of a call
        refused = failure(error)
        if refused.code == "INTERNAL":
            # The client gets one sentence. The traceback is for whoever reads the log.
            _LOG.exception("%s failed", method.path)
    return _abort(context, refused)


def _stream(request: type[Message], stream: Stream) -> Handler:
    def handle(message: "Message | _Undecodable", context: Context) -> Iterator[bytes]:
        try:
            if isinstance(message, _Undecodable):
                raise invalid(message.why)
            yield from stream(message, context)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a call
            refused = failure(error)
            if refused.code == "INTERNAL":
                _LOG.exception("a stream failed")
            _abort(context, refused)

    return _grpc.unary_stream_rpc_method_handler(
        handle, request_deserializer=_parser(request), response_serializer=_serialized
    )


def _refusing(text: str) -> Handler:
    """Make a handler that refuses a call without reading its request.

    It is registered as a stream, because gRPC reads the request of a stream only when the handler asks.
    """

    def handle(requests: Iterator[bytes], context: Context) -> NoReturn:
        _abort(context, Refused("UNAUTHENTICATED", text))

    return _grpc.stream_unary_rpc_method_handler(handle)


def _abort(context: Context, refused: Refused) -> NoReturn:
    code = grpc.StatusCode[refused.code]
    room = room_of(context.invocation_metadata())
    sent = answer(refused, code.value[0], room)
    # The client gets a part of the text, so the whole has to be somewhere.
    if len(sent.text) < len(refused.message):
        _LOG.info("a call was refused, %s: %s", code.name, refused.message[:_MAX_LOGGED])
    # Before the abort, which ends the call.
    context.set_trailing_metadata(sent.metadata)
    context.abort(code, sent.text)
    # grpcio's `abort` always raises, but it has no types that say so.
    raise AssertionError("abort raises")


def _serialized(answer: "Message | bytes") -> bytes:
    # Stored messages are sent as they are, because parsing them only to write them again would be wasted.
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
