"""The gRPC channel to one FlyteAdmin, and how to find it again after it moved.

`Link` owns channel, stubs and credentials. When calls fail because nobody listens, `relocate` asks
where FlyteAdmin is now: the local backend may have been started again on another port.
"""

import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
from flyteidl.service import admin_pb2_grpc, auth_pb2_grpc, dataproxy_pb2_grpc
from flyteidl.service.auth_pb2 import OAuth2MetadataRequest

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.version import __version__
from flyte_nb.client.auth import ERROR_BYTES, Credentials
from flyte_nb.client.config import Config, is_loopback
from flyte_nb.client.remote_errors import remote_error

Channel = Any
"""A `grpc.Channel`; grpcio's own functions carry no types."""

_grpc: Any = grpc
_stubs: Any = SimpleNamespace(
    admin=admin_pb2_grpc.AdminServiceStub,
    data_proxy=dataproxy_pb2_grpc.DataProxyServiceStub,
    auth_metadata=auth_pb2_grpc.AuthMetadataServiceStub,
)

_MAX_MESSAGE_BYTES = (
    256 * 1024 * 1024
)  # a closure of 10,000 nodes is 7 MB; FlyteAdmin's own cap is lower

_AUTH_DEADLINE_S = 20.0


class Target(NamedTuple):
    """Where FlyteAdmin is, and who we are there."""

    config: Config
    credentials: Credentials
    key: str
    """Differs when the channel must be opened anew, e.g. `127.0.0.1:4711#<start of the token>`."""


class Stubs(NamedTuple):
    """Every stub over one channel."""

    admin: Any
    data_proxy: Any
    auth_metadata: Any


def open_channel(config: Config) -> Channel:
    """A channel to the FlyteAdmin of `config`; nothing is connected yet.

    Raises:
        UsageError: the configuration asks for something that is not supported, or names a
            certificate that cannot be read.
    """
    if config.proxy_command:
        raise UsageError(
            f"admin.proxyCommand in {config.source} is not supported."
            " Supported ways to sign in are ExternalCommand and ClientSecret."
        )
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", ERROR_BYTES + 2048),
        ("grpc.primary_user_agent", f"flyte-nb/{__version__}"),
        # After a restart of the backend nobody should wait for gRPC's usual second and more.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if is_loopback(config.endpoint):
        options.append(("grpc.enable_http_proxy", 0))  # http_proxy is for the world outside
    elif config.http_proxy_url:
        options.append(("grpc.http_proxy", config.http_proxy_url))
    if config.insecure:
        return _grpc.insecure_channel(config.endpoint, options=options)
    return _grpc.secure_channel(config.endpoint, _tls(config), options=options)


def _tls(config: Config) -> Any:
    if config.insecure_skip_verify:
        host, _, port = config.endpoint.rpartition(":")
        try:  # gRPC cannot skip verification; trusting what the server shows comes to the same
            shown = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=10)
        except (OSError, ValueError) as error:
            raise RemoteError(
                f"FlyteAdmin at {config.endpoint} cannot be reached ({error}).",
                code="UNAVAILABLE",
                hint=f"Check the endpoint in {config.source or 'your Flyte configuration'}.",
            ) from error
        return _grpc.ssl_channel_credentials(shown.encode("ascii"))
    if config.ca_cert_file:
        try:
            return _grpc.ssl_channel_credentials(
                Path(os.path.expanduser(config.ca_cert_file)).read_bytes()
            )
        except OSError as error:
            raise UsageError(f"admin.caCertFilePath cannot be read: {error}") from error
    return _grpc.ssl_channel_credentials()


class Link:
    """One open channel with its stubs; thread-safe. Opened when it is first used."""

    def __init__(self, locate: "Callable[[], Target]") -> None:
        """Args: `locate` says where FlyteAdmin is now; it may start the local backend."""
        self._locate = locate
        self._lock = threading.Lock()
        self._target: Target | None = None
        self._channel: Channel | None = None
        self._stubs: Stubs | None = None
        self._old: list[Channel] = []

    @property
    def target(self) -> Target:
        """Where the link goes."""
        self.stubs  # noqa: B018 - opens it
        assert self._target is not None
        return self._target

    @property
    def stubs(self) -> Stubs:
        """The stubs of the open channel."""
        stubs = self._stubs
        return stubs if stubs is not None else self._open(self._locate())

    @property
    def channel(self) -> Channel:
        """The open channel, for services without a stub."""
        self.stubs  # noqa: B018 - opens it
        assert self._channel is not None
        return self._channel

    def relocate(self) -> None:
        """Ask anew where FlyteAdmin is; open another channel if it moved."""
        target = self._locate()
        if self._target is None or target.key != self._target.key:
            self._open(target)

    def close(self) -> None:
        """Close the channel; the next call would open it again."""
        with self._lock:
            channels = [*self._old, *([self._channel] if self._channel is not None else [])]
            self._channel = self._stubs = self._target = None
            self._old = []
        for channel in channels:
            channel.close()

    def _open(self, target: Target) -> Stubs:
        with self._lock:
            if self._stubs is not None and self._target is not None:
                if target.key == self._target.key:
                    return self._stubs
                if self._channel is not None:
                    self._old.append(self._channel)  # closed later: other threads may be in a call
            channel = open_channel(target.config)
            self._channel, self._target = channel, target
            self._stubs = Stubs(
                _stubs.admin(channel),
                _stubs.data_proxy(channel),
                _stubs.auth_metadata(channel),
            )
            return self._stubs


def oauth_token_endpoint(link: Link) -> str:
    """Where tokens are to be had, as FlyteAdmin says; asked without signing in.

    Raises:
        RemoteError: it does not say, or cannot be reached.
    """
    endpoint = link.target.config.endpoint
    try:
        answer = link.stubs.auth_metadata.GetOAuth2Metadata(
            OAuth2MetadataRequest(), timeout=_AUTH_DEADLINE_S
        )
    except grpc.RpcError as error:
        raise remote_error(error, doing="Asking how to sign in", endpoint=endpoint) from error
    return str(answer.token_endpoint)
