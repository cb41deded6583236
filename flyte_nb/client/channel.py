"""Open the gRPC channel to one FlyteAdmin, and open another one when FlyteAdmin has moved.

`Link` owns the channel, its stubs and the credentials. When a call finds nobody listening, `relocate`
asks where FlyteAdmin is now: the local backend may have been started again on another port, with another
token.
"""

import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
from flyteidl.service import (
    admin_pb2_grpc,
    auth_pb2_grpc,
    dataproxy_pb2_grpc,
    signal_pb2_grpc,
)
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
    signal=signal_pb2_grpc.SignalServiceStub,
)

# gRPC accepts 4 MB by default, and the closure of a workflow of 10,000 nodes has 7 MB. FlyteAdmin has a
# limit of its own, which is lower than this one.
_MAX_MESSAGE_BYTES = 256 * 1024 * 1024

_AUTH_DEADLINE_S = 20.0
_CERTIFICATE_TIMEOUT_S = 10.0


class Target(NamedTuple):
    """Where FlyteAdmin is, and who we are there."""

    config: Config
    credentials: Credentials
    key: str
    """Changes when another channel must be opened, e.g. `127.0.0.1:4711#<start of a hash of the token>`."""


class Stubs(NamedTuple):
    """flyteidl's stubs over one channel. Each has a callable for every method of its service."""

    admin: Any
    data_proxy: Any
    auth_metadata: Any
    signal: Any


def open_channel(config: Config) -> Channel:
    """Return a channel to the FlyteAdmin of `config`. It connects with its first call.

    Raises:
        UsageError: the configuration asks for something that is not supported, or names a
            certificate that cannot be read.
        RemoteError: UNAVAILABLE: verification is switched off, and the server shows no certificate.
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
        # gRPC waits a second and more before it connects again; a restarted backend is back sooner.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if is_loopback(config.endpoint):
        options.append(("grpc.enable_http_proxy", 0))  # no proxy reaches this machine's loopback
    elif config.http_proxy_url:
        options.append(("grpc.http_proxy", config.http_proxy_url))
    if config.insecure:
        return _grpc.insecure_channel(config.endpoint, options=options)
    return _grpc.secure_channel(config.endpoint, _tls(config), options=options)


def _tls(config: Config) -> Any:
    """Return gRPC's channel credentials for TLS as `config` wants it."""
    if config.insecure_skip_verify:
        host, _, port = config.endpoint.rpartition(":")
        try:
            # gRPC cannot skip verification. Trusting whatever certificate the server shows has the
            # same effect.
            shown = ssl.get_server_certificate(
                (host.strip("[]"), int(port)), timeout=_CERTIFICATE_TIMEOUT_S
            )
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
    """One channel with its stubs and credentials. Thread-safe. It is opened when it is first used."""

    def __init__(self, locate: "Callable[[], Target]") -> None:
        """Make a link. Nothing is opened yet.

        Args:
            locate: Returns where FlyteAdmin is now. It may start the local backend.
        """
        self._locate = locate
        self._lock = threading.Lock()
        self._target: Target | None = None
        self._channel: Channel | None = None
        self._stubs: Stubs | None = None
        self._old: list[Channel] = []

    @property
    def target(self) -> Target:
        """Return where the link goes; open it first when it is not open."""
        self.stubs  # noqa: B018 - the property opens the channel
        assert self._target is not None
        return self._target

    @property
    def stubs(self) -> Stubs:
        """Return the stubs of the channel; open it first when it is not open."""
        stubs = self._stubs
        return stubs if stubs is not None else self._open(self._locate())

    @property
    def channel(self) -> Channel:
        """Return the channel, for services without a stub; open it first when it is not open."""
        self.stubs  # noqa: B018 - the property opens the channel
        assert self._channel is not None
        return self._channel

    def relocate(self) -> None:
        """Ask where FlyteAdmin is now, and open another channel if it has moved."""
        target = self._locate()
        if self._target is None or target.key != self._target.key:
            self._open(target)

    def close(self) -> None:
        """Close every channel. A later call opens a new one."""
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
                    # Other threads may be in a call over the old channel, so `close` closes it.
                    self._old.append(self._channel)
            channel = open_channel(target.config)
            self._channel, self._target = channel, target
            self._stubs = Stubs(
                admin=_stubs.admin(channel),
                data_proxy=_stubs.data_proxy(channel),
                auth_metadata=_stubs.auth_metadata(channel),
                signal=_stubs.signal(channel),
            )
            return self._stubs


def oauth_token_endpoint(link: Link) -> str:
    """Ask FlyteAdmin for the URL that gives tokens, and return it. The call needs no token.

    Source: flyteidl/service/auth.proto, `GetOAuth2Metadata`.

    Raises:
        RemoteError: FlyteAdmin has no such call, or cannot be reached.
    """
    endpoint = link.target.config.endpoint
    try:
        answer = link.stubs.auth_metadata.GetOAuth2Metadata(
            OAuth2MetadataRequest(), timeout=_AUTH_DEADLINE_S
        )
    except grpc.RpcError as error:
        raise remote_error(error, doing="Asking how to sign in", endpoint=endpoint) from error
    return str(answer.token_endpoint)
