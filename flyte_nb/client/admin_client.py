"""Calls to FlyteAdmin: one place for deadlines, retries, sign-in and errors.

`AdminClient.call` is one RPC; `call_all` and `call_each` send many without waiting for each. A call
that failed because nobody listened is tried again only when trying twice does no harm: reads, and
creations under an id that the caller chose (the second one is then AlreadyExists).
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from flyte_nb.api.errors import RemoteError
from flyte_nb.client.channel import Link
from flyte_nb.client.remote_errors import remote_error, status_of

_DEADLINE_S = 30.0
_ATTEMPTS = 7
_FIRST_PAUSE_S = 0.05  # doubles: 7 attempts span about three seconds
_IN_FLIGHT = 64

_DATA_PROXY = frozenset(
    {"CreateUploadLocation", "CreateDownloadLocation", "CreateDownloadLink", "GetData"}
)
_AUTH_METADATA = frozenset({"GetOAuth2Metadata", "GetPublicClientConfig"})
_IDEMPOTENT = (
    *("Get", "List", "CreateTask", "CreateWorkflow", "CreateLaunchPlan"),
    *("CreateUpload", "CreateDownload"),
)


class AdminClient:
    """FlyteAdmin over one link. Thread-safe; cheap to `metered()` anew."""

    def __init__(self, link: Link, *, pause: "Callable[[float], None]" = time.sleep) -> None:
        self._link = link
        self._pause = pause
        self._count_lock = threading.Lock()
        self.rpcs = 0
        """Calls sent through this object, retries included."""

    @property
    def link(self) -> Link:
        """The channel below."""
        return self._link

    @property
    def endpoint(self) -> str:
        """`host:port` of the FlyteAdmin that is talked to."""
        return self._link.target.config.endpoint

    def metered(self) -> "AdminClient":
        """The same FlyteAdmin with a count of its own."""
        return AdminClient(self._link, pause=self._pause)

    def call(
        self,
        method: str,
        request: Message,
        *,
        doing: str = "",
        timeout_s: float = _DEADLINE_S,
        idempotent: "bool | None" = None,
    ) -> Any:
        """Call `method` (e.g. `GetTask`) and return its answer.

        Args:
            method: Its name in AdminService, DataProxyService or AuthMetadataService; or the path of a
                call of the local backend's own, which answers with a message of the request's class.
            request: The flyteidl request.
            doing: What to name in an error; the method's name when empty.
            timeout_s: Deadline of each attempt, in seconds.
            idempotent: Whether it may be sent twice; `None` decides by the method.

        Raises:
            RemoteError: the answer is not OK.
        """
        return self._finish(None, 0, method, request, doing, timeout_s, idempotent)

    def call_all(
        self, method: str, requests: "Sequence[Message]", *, doing: "Sequence[str]" = ()
    ) -> "Iterator[Any | RemoteError]":
        """Call `method` once for each request, many at a time; yield answers in order.

        A refused call yields its `RemoteError` instead of raising it, so that one refusal does not
        hide the others. When the caller stops early, calls that were not sent are not sent.
        """
        return self.call_each([(method, request) for request in requests], doing=doing)

    def call_each(
        self, calls: "Sequence[tuple[str, Message]]", *, doing: "Sequence[str]" = ()
    ) -> "Iterator[Any | RemoteError]":
        """As `call_all`, for calls of several methods."""
        if len(calls) == 1:  # without the thread that calls on their way need
            try:
                yield self.call(*calls[0], doing=doing[0] if doing else "")
            except RemoteError as error:
                yield error
            return
        pending: list[tuple[Any, int]] = []
        sent = 0
        try:
            for number, (method, request) in enumerate(calls):
                while sent < len(calls) and len(pending) < _IN_FLIGHT:
                    pending.append(self._start(*calls[sent]))
                    sent += 1
                future, generation = pending.pop(0)
                what = doing[number] if doing else ""
                try:
                    yield self._finish(future, generation, method, request, what, _DEADLINE_S, None)
                except RemoteError as error:
                    yield error
        finally:
            for future, _ in pending:
                future.cancel()

    def open_stream(self, path: str, request: Message, response: Any) -> Any:
        """Start a server stream that no stub knows, e.g. `/flyte_nb.Watch/Executions`.

        Returns gRPC's call: an iterator of `response` messages with `cancel()`. Errors come out of
        the iterator as `grpc.RpcError`; see `remote_errors`.
        """
        self._count()
        start = self._link.channel.unary_stream(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return start(request, metadata=self._link.target.credentials.metadata())

    def _multicallable(self, method: str) -> Any:
        if method.startswith("/"):
            return self._local(method)
        stubs = self._link.stubs
        if method in _DATA_PROXY:
            return getattr(stubs.data_proxy, method)
        if method in _AUTH_METADATA:
            return getattr(stubs.auth_metadata, method)
        return getattr(stubs.admin, method)

    def _local(self, path: str) -> Any:
        return lambda request, **options: self._link.channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=type(request).FromString,
        )(request, **options)

    def _count(self) -> None:
        with self._count_lock:
            self.rpcs += 1

    def _start(self, method: str, request: Message) -> "tuple[Any, int]":
        credentials = self._link.target.credentials
        self._count()
        future = self._multicallable(method).future(
            request, timeout=_DEADLINE_S, metadata=credentials.metadata()
        )
        return future, credentials.generation

    def _finish(
        self,
        future: Any,
        generation: int,
        method: str,
        request: Message,
        doing: str,
        timeout_s: float,
        idempotent: "bool | None",
    ) -> Any:
        """The answer of a call that may be on its way (`future`); retried as its kind allows."""
        if idempotent is None:
            idempotent = method.startswith(_IDEMPOTENT)
        signed_in_again = False
        attempt = 1
        while True:
            try:
                if future is not None:
                    return future.result()
                credentials = self._link.target.credentials
                generation = credentials.generation
                self._count()
                return self._multicallable(method)(
                    request, timeout=timeout_s, metadata=credentials.metadata()
                )
            except grpc.RpcError as error:
                future = None
                code = status_of(error)
                failure = remote_error(error, doing=doing or method, endpoint=self.endpoint)
                if code is grpc.StatusCode.UNAUTHENTICATED and not signed_in_again:
                    signed_in_again = True
                    if self.sign_in(generation):
                        continue
                    raise failure from error
                if code is not grpc.StatusCode.UNAVAILABLE or not idempotent:
                    raise failure from error
                if attempt == _ATTEMPTS:
                    raise failure from error
            self._pause(_FIRST_PAUSE_S * 2 ** (attempt - 1))
            self._link.relocate()
            attempt += 1

    @property
    def generation(self) -> int:
        """How many times a token was fetched; to be told to `sign_in`."""
        return self._link.target.credentials.generation

    def sign_in(self, refused_generation: int) -> bool:
        """After UNAUTHENTICATED: get other credentials. Returns whether to try the call again.

        Raises:
            RemoteError: UNAUTHENTICATED, when there are none to be had.
        """
        before = self._link.target.key
        self._link.relocate()  # the local backend may have been started anew, with a new token
        if self._link.target.key != before:
            return True
        return self._link.target.credentials.refresh(refused_generation)
