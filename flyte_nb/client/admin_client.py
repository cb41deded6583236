"""Call FlyteAdmin: the one place for deadlines, retries, sign-in and errors.

`AdminClient.call` makes one RPC. `call_all` and `call_each` send many without waiting for each.

A call that got no answer may still have been carried out. So it is sent again only when doing it twice
is harmless: for reads, and for creations under an id that the caller chose, which the server refuses
the second time with ALREADY_EXISTS.
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
# The pause doubles, so 7 attempts span about three seconds: a local backend that is started again is
# back within that time, and a person still waits for an error.
_ATTEMPTS = 7
_FIRST_PAUSE_S = 0.05
_IN_FLIGHT = 64
"""Calls that are on their way at the same time. Servers should allow 100 streams (RFC 9113, 6.5.2)."""

# Methods of these two services; every other method belongs to AdminService.
_DATA_PROXY = frozenset(
    {"CreateUploadLocation", "CreateDownloadLocation", "CreateDownloadLink", "GetData"}
)
_AUTH_METADATA = frozenset({"GetOAuth2Metadata", "GetPublicClientConfig"})
_SIGNAL = frozenset({"GetOrCreateSignal", "ListSignals", "SetSignal"})
_IDEMPOTENT = (
    *("Get", "List", "CreateTask", "CreateWorkflow", "CreateLaunchPlan"),
    *("CreateUpload", "CreateDownload", "SetSignal"),
)
"""Beginnings of the names of methods that may be sent twice. `CreateExecution` is not among them, because
FlyteAdmin makes up a name when the request has none; `executions.launching` always sends a name."""


class AdminClient:
    """Calls to one FlyteAdmin over one `Link`. Thread-safe.

    flyteidl's stubs carry no types, so the methods return `Any`: each caller knows which message its
    method answers with.
    """

    def __init__(self, link: Link, *, pause: "Callable[[float], None]" = time.sleep) -> None:
        """Make a client. Nothing is connected yet.

        Args:
            link: The channel, which opens itself.
            pause: Waits for that many seconds between two attempts.
        """
        self._link = link
        self._pause = pause
        self._count_lock = threading.Lock()
        self.rpcs = 0
        """Calls sent through this object, retries included."""

    @property
    def link(self) -> Link:
        """Return the link that all calls go through."""
        return self._link

    @property
    def endpoint(self) -> str:
        """Return the `host:port` of FlyteAdmin."""
        return self._link.target.config.endpoint

    def metered(self) -> "AdminClient":
        """Return a client over the same link that counts its own calls, from 0."""
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
            method: Its name in AdminService or another of flyteidl's services. Or the path of one
                of the local backend's own calls, which answers with a message of the request's class.
            request: The flyteidl request.
            doing: What an error says was being done; the method's name when empty.
            timeout_s: Deadline of each attempt, in seconds.
            idempotent: Whether it may be sent twice; `None` decides by the method.

        Raises:
            RemoteError: FlyteAdmin refused the call, or cannot be reached.
        """
        return self._finish(None, 0, method, request, doing, timeout_s, idempotent)

    def call_all(
        self, method: str, requests: "Sequence[Message]", *, doing: "Sequence[str]" = ()
    ) -> "Iterator[Any | RemoteError]":
        """Call `method` once for each request, many at a time; yield answers in order.

        A refused call yields its `RemoteError` instead of raising it, so that one refusal does not
        hide the others. When the caller closes the iterator early, the calls that were not sent yet
        stay unsent.

        Args:
            method: As for `call`.
            requests: One a call.
            doing: For each request, what an error says was being done; empty for the method's name.
        """
        return self.call_each([(method, request) for request in requests], doing=doing)

    def call_each(
        self, calls: "Sequence[tuple[str, Message]]", *, doing: "Sequence[str]" = ()
    ) -> "Iterator[Any | RemoteError]":
        """Make calls of several methods, many at a time; yield the answers as `call_all` does."""
        if (
            len(calls) == 1
        ):  # a plain call: gRPC starts a thread for calls that are waited for later
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
                # The oldest call first, so answers come in the order of the calls.
                future, generation = pending.pop(0)
                what = doing[number] if doing else ""
                try:
                    yield self._finish(future, generation, method, request, what, _DEADLINE_S, None)
                except RemoteError as error:
                    yield error
        finally:
            for future, _ in pending:
                future.cancel()

    def open_stream(self, path: str, request: Message, response: "type[Message]") -> Any:
        """Start a server stream that no flyteidl stub knows, e.g. `/flyte_nb.Watch/Executions`.

        A stream has no deadline and is not retried here: only its reader knows how to go on.

        Returns:
            gRPC's call: an iterator of `response` messages, with `cancel()`. The iterator raises
            `grpc.RpcError`; `remote_errors.remote_error` turns that into a `RemoteError`.
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
        if method in _SIGNAL:
            return getattr(stubs.signal, method)
        return getattr(stubs.admin, method)

    def _local(self, path: str) -> Any:
        """Return a callable for one of the local backend's own calls. It has no `future`, unlike a stub's."""
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
        """Return the answer of a call; retry it as its kind allows.

        Args:
            future: The first attempt, when it is on its way already; `None` when nothing was sent.
            generation: The credentials' generation with which `future` was sent.
            method: As for `call`, like everything that follows.
            request: The flyteidl request.
            doing: What an error says was being done.
            timeout_s: Deadline of each further attempt, in seconds.
            idempotent: Whether the call may be sent twice.
        """
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
                # Signing in again does not count as an attempt: a refused call was not carried out.
                # It happens once, so that a server that accepts no token is not asked in a loop.
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
            self._link.relocate()  # the local backend may listen on another port by now
            attempt += 1

    @property
    def generation(self) -> int:
        """Return how many times a token was fetched; pass it to `sign_in` after a refusal."""
        return self._link.target.credentials.generation

    def sign_in(self, refused_generation: int) -> bool:
        """Get other credentials after UNAUTHENTICATED; return whether to try the call again.

        Args:
            refused_generation: The generation of the token that was refused.

        Raises:
            RemoteError: UNAUTHENTICATED: no token can be fetched.
        """
        before = self._link.target.key
        self._link.relocate()  # a local backend that was started again has another token
        if self._link.target.key != before:
            return True
        return self._link.target.credentials.refresh(refused_generation)
