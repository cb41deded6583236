"""Who we are, to FlyteAdmin: the bearer token, from where it comes, and when it is fetched again.

A `Credentials` gives the metadata of a call and is asked to refresh when a call was refused. However
many calls are refused at once, the token is fetched once; and a token that was refused right after it
was fetched is not fetched again, so that a wrong password is not tried in a loop.
"""

import base64
import json
import os
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from flyte_nb.api.call_metadata import ERROR_BYTES_KEY
from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.client.config import CLIENT_SECRET, EXTERNAL_COMMAND, Config

Metadata = tuple[tuple[str, str], ...]

ERROR_BYTES = 30 * 1024
"""How long an error's text and details may be for us; gRPC's own limit is 8 KiB."""

_COMMAND_TIMEOUT_S = 120.0  # a person may have to answer a prompt of the command's
_TOKEN_TIMEOUT_S = 30.0


class Credentials:
    """A bearer token that is fetched when FlyteAdmin asks for one.

    Thread-safe. `generation` grows with each fetch; a caller says with which generation it was
    refused, and only the first of several callers makes the fetch.
    """

    def __init__(
        self, fetch: "Callable[[], str]", *, token: str = "", header: str = "authorization"
    ) -> None:
        self._fetch = fetch
        self._header = header
        self._lock = threading.Lock()
        self._metadata: Metadata = self._as_metadata(token)
        self._failure: RemoteError | None = None
        self.generation = 0

    def metadata(self) -> Metadata:
        """What to send with a call; empty while no token was asked for."""
        return self._metadata

    def refresh(self, refused_generation: int) -> bool:
        """Fetch a token after a refusal. Returns whether it is worth to try the call again.

        Raises:
            RemoteError: UNAUTHENTICATED, when no token can be got.
        """
        with self._lock:
            if self.generation != refused_generation:
                return True  # another thread has fetched one meanwhile
            if self._failure is not None:
                raise self._failure
            try:
                fresh = self._as_metadata(self._fetch())
            except RemoteError as error:
                self._failure = error
                raise
            self.generation += 1
            changed = fresh != self._metadata
            self._metadata = fresh
            return changed

    def _as_metadata(self, token: str) -> Metadata:
        if not token:
            return ()
        return ((self._header, f"Bearer {token}"), (ERROR_BYTES_KEY, str(ERROR_BYTES)))


def fixed_token(token: str) -> Credentials:
    """The local backend's token, sent from the first call on."""
    return Credentials(lambda: token, token=token)


def credentials_of(
    config: Config, *, env: "Mapping[str, str]", token_endpoint: "Callable[[], str]"
) -> Credentials:
    """The credentials that `config` describes.

    Args:
        config: As read by `config.find`.
        env: Where a client secret may be.
        token_endpoint: Asks FlyteAdmin where tokens are to be had; called only for `ClientSecret`.
    """
    auth = config.auth
    if auth.type == EXTERNAL_COMMAND:
        return Credentials(lambda: _from_command(auth.command, config.source))
    if auth.type == CLIENT_SECRET:
        return Credentials(lambda: _from_client_secret(config, env, token_endpoint()))

    def unsupported() -> str:
        raise RemoteError(
            f"FlyteAdmin at {config.endpoint} asks for a sign-in, and authType {auth.type!r} is not"
            " supported here.",
            code="UNAUTHENTICATED",
            hint="Supported are ExternalCommand (a command that prints a token) and ClientSecret;"
            f" set `admin.authType` in {config.source or 'your Flyte configuration'}.",
        )

    return Credentials(unsupported)


def _from_command(command: "tuple[str, ...]", source: str) -> str:
    if not command:
        raise RemoteError(
            f"authType is ExternalCommand, but {source or 'the configuration'} names no command.",
            code="UNAUTHENTICATED",
            hint="Add `admin.command: [program, argument, …]`.",
        )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RemoteError(
            f"The command {command[0]!r} for a token cannot be run: {error}.",
            code="UNAUTHENTICATED",
        ) from error
    token = done.stdout.strip()
    if done.returncode != 0 or not token:
        said = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise RemoteError(
            f"The command {command[0]!r} gave no token (exit code {done.returncode}): {said[0]}.",
            code="UNAUTHENTICATED",
            hint="Mend it, then connect again.",
        )
    return token


def client_secret(config: Config, env: "Mapping[str, str]") -> str:
    """The client secret: given, in a variable, or in a file, in this order.

    Raises:
        UsageError: none of them has one.
    """
    auth = config.auth
    if auth.client_secret:
        return auth.client_secret
    if auth.client_secret_env_var and env.get(auth.client_secret_env_var):
        return env[auth.client_secret_env_var]
    if auth.client_secret_location:
        try:
            return Path(os.path.expanduser(auth.client_secret_location)).read_text("utf-8").strip()
        except OSError as error:
            raise UsageError(f"clientSecretLocation cannot be read: {error}") from error
    raise UsageError(
        "authType is ClientSecret, but there is no secret."
        " Set clientSecretLocation or clientSecretEnvVar."
    )


def _from_client_secret(config: Config, env: "Mapping[str, str]", endpoint: str) -> str:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4), with HTTP Basic (section 2.3.1)."""
    if not endpoint.startswith(("https://", "http://")):
        raise RemoteError(
            f"FlyteAdmin names {endpoint!r} as its token endpoint.", code="UNAUTHENTICATED"
        )
    pair = f"{config.auth.client_id}:{urllib.parse.quote_plus(client_secret(config, env))}"
    form = {"grant_type": "client_credentials"}
    if config.auth.scopes:
        form["scope"] = " ".join(config.auth.scopes)
    if config.auth.audience:
        form["audience"] = config.auth.audience
    request = urllib.request.Request(
        endpoint,
        data=urllib.parse.urlencode(form).encode("ascii"),
        headers={
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii"),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=_TOKEN_TIMEOUT_S) as answer:
            token = json.load(answer).get("access_token", "")
    except (urllib.error.URLError, ValueError, AttributeError) as error:
        raise RemoteError(
            f"{endpoint} gave no token for the client {config.auth.client_id!r}: {error}.",
            code="UNAUTHENTICATED",
            hint="Check clientId and the client secret.",
        ) from error
    if not isinstance(token, str) or not token:
        raise RemoteError(f"{endpoint} answered without an access_token.", code="UNAUTHENTICATED")
    return token
