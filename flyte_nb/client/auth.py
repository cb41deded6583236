"""Sign in to FlyteAdmin: fetch a bearer token, send it with calls, and fetch another when it is refused.

`Credentials` gives the metadata of a call, and `refresh` gets a token after a refusal. When many calls are
refused at the same time, one token is fetched for all of them. A fetch that failed is not repeated, and a
fetch that gives the refused token again ends the attempts, so a wrong password is not tried in a loop.
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
"""How long an error's text and details may be when they are sent to us. gRPC's own limit is 8 KiB, which a
workflow with many problems exceeds; our backend reads this figure from the call's metadata."""

_COMMAND_TIMEOUT_S = 120.0  # the command may ask the person something
_TOKEN_TIMEOUT_S = 30.0


class Credentials:
    """A bearer token that is fetched when FlyteAdmin asks for one.

    Thread-safe. `generation` grows with each fetch. A caller passes the generation with which it was
    refused, so that only the first of several callers fetches.
    """

    def __init__(
        self, fetch: "Callable[[], str]", *, token: str = "", header: str = "authorization"
    ) -> None:
        """Hold a token, or nothing yet.

        Args:
            fetch: Returns a token, or raises `RemoteError`.
            token: The token to send from the first call on; empty to wait for a refusal.
            header: The metadata key under which the token is sent.
        """
        self._fetch = fetch
        self._header = header
        self._lock = threading.Lock()
        self._metadata: Metadata = self._as_metadata(token)
        self._failure: RemoteError | None = None
        self.generation = 0

    def metadata(self) -> Metadata:
        """Return what to send with a call; nothing while FlyteAdmin has not asked for a token."""
        return self._metadata

    def refresh(self, refused_generation: int) -> bool:
        """Fetch a token after a refusal; return whether it is worth trying the call again.

        Args:
            refused_generation: The generation with which the refused call was sent.

        Raises:
            RemoteError: UNAUTHENTICATED: no token can be fetched.
        """
        with self._lock:
            if self.generation != refused_generation:
                return True  # another thread has fetched one meanwhile
            if self._failure is not None:  # a command that failed is not run once a refused call
                raise self._failure
            try:
                fresh = self._as_metadata(self._fetch())
            except RemoteError as error:
                self._failure = error
                raise
            self.generation += 1
            # The same token again would be refused again.
            changed = fresh != self._metadata
            self._metadata = fresh
            return changed

    def _as_metadata(self, token: str) -> Metadata:
        if not token:
            return ()
        return ((self._header, f"Bearer {token}"), (ERROR_BYTES_KEY, str(ERROR_BYTES)))


def fixed_token(token: str) -> Credentials:
    """Return credentials that send `token` from the first call on, as the local backend wants it."""
    return Credentials(lambda: token, token=token)


def credentials_of(
    config: Config, *, env: "Mapping[str, str]", token_endpoint: "Callable[[], str]"
) -> Credentials:
    """Return the credentials that `config` describes. Nothing is fetched until a call is refused.

    Args:
        config: As `config.find` returns it.
        env: The environment, which may hold the client secret.
        token_endpoint: Asks FlyteAdmin for the URL that gives tokens. Called only for `ClientSecret`.
    """
    auth = config.auth
    if auth.type == EXTERNAL_COMMAND:
        return Credentials(lambda: _from_command(auth.command, config.source))
    if auth.type == CLIENT_SECRET:
        return Credentials(lambda: _from_client_secret(config, env, token_endpoint()))

    # An unsupported way to sign in is an error only when FlyteAdmin asks for a sign-in: many clusters
    # have `authType: Pkce` in their configuration and accept calls without a token.
    def unsupported() -> str:
        """Raise the error that says what is supported; called only after a refusal."""
        raise RemoteError(
            f"FlyteAdmin at {config.endpoint} asks for a sign-in, and authType {auth.type!r} is not"
            " supported here.",
            code="UNAUTHENTICATED",
            hint="Supported are ExternalCommand (a command that prints a token) and ClientSecret;"
            f" set `admin.authType` in {config.source or 'your Flyte configuration'}.",
        )

    return Credentials(unsupported)


def _from_command(command: "tuple[str, ...]", source: str) -> str:
    """Return the token that the command prints on its standard output."""
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
            hint=f"Check `admin.command` in {source or 'your Flyte configuration'}.",
        ) from error
    token = done.stdout.strip()
    if done.returncode != 0 or not token:
        complaint = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise RemoteError(
            f"The command {command[0]!r} gave no token (exit code {done.returncode}): {complaint}.",
            code="UNAUTHENTICATED",
            hint="Run the command in a terminal, correct what it complains about, then connect again.",
        )
    return token


def client_secret(config: Config, env: "Mapping[str, str]") -> str:
    """Return the client secret. It is given directly, in an environment variable or in a file, in this order.

    Raises:
        UsageError: none of them has a secret, or the file cannot be read.
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
    """Return a token for OAuth 2.0 client credentials (RFC 6749, section 4.4), with HTTP Basic (2.3.1)."""
    if not endpoint.startswith(("https://", "http://")):
        raise RemoteError(
            f"FlyteAdmin names {endpoint!r} as its token endpoint, which is no web address.",
            code="UNAUTHENTICATED",
            hint="Ask the operator of FlyteAdmin to correct its authorization server's metadata.",
        )
    # RFC 6749 (2.3.1) wants both parts form-encoded in the header. Ids are left as they are, because
    # flytekit sends them so, and authorization servers expect it.
    pair = f"{config.auth.client_id}:{urllib.parse.quote_plus(client_secret(config, env))}"
    # `audience` is not in the RFC; Auth0 and others want it.
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
        raise RemoteError(
            f"{endpoint} answered without an access_token.",
            code="UNAUTHENTICATED",
            hint="Check that it is an OAuth 2.0 token endpoint (RFC 6749, section 5.1).",
        )
    return token
