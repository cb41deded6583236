"""Find where FlyteAdmin is and how to sign in there, from what flytekit and flytectl read.

The file is the one that `FLYTECTL_CONFIG` names, or `~/.flyte/config.yaml`. A `FLYTE_*` variable wins over
the file. Nothing is connected here.

Source: flytekit 1.16 `configuration/internal.py`, `configuration/file.py`; flytectl's `admin` section.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flyte_nb.api.errors import UsageError

EXTERNAL_COMMAND = "ExternalCommand"
CLIENT_SECRET = "ClientSecret"

# Names of both tools, in lower case, by the way to sign in. flytekit's `basic` means a client secret.
_AUTH_TYPES = {
    "externalcommand": EXTERNAL_COMMAND,
    "external_process": EXTERNAL_COMMAND,
    "clientsecret": CLIENT_SECRET,
    "client_credentials": CLIENT_SECRET,
    "basic": CLIENT_SECRET,
    "standard": "Pkce",
    "pkce": "Pkce",
    "deviceflow": "DeviceFlow",
}

_LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


class AuthConfig(NamedTuple):
    """How to get a token, when FlyteAdmin asks for one."""

    type: str = "Pkce"
    """`ExternalCommand` or `ClientSecret`; or another of flytekit's types, which is not supported here."""
    command: "tuple[str, ...]" = ()
    """For `ExternalCommand`: the program and its arguments. It prints the token on its standard output."""
    client_id: str = ""
    client_secret_location: str = ""
    client_secret_env_var: str = ""
    client_secret: str = ""
    scopes: "tuple[str, ...]" = ()
    audience: str = ""


class Config(NamedTuple):
    """One FlyteAdmin, how to reach it, and the default project and domain."""

    endpoint: str
    """`host:port`, without `dns:///`."""
    insecure: bool = False
    insecure_skip_verify: bool = False
    ca_cert_file: str = ""
    http_proxy_url: str = ""
    auth: AuthConfig = AuthConfig()
    proxy_command: "tuple[str, ...]" = ()
    console_endpoint: str = ""
    project: str = ""
    domain: str = ""
    source: str = ""
    """What named this FlyteAdmin, for messages: a file's path or `FLYTE_PLATFORM_URL`."""


def home_folder() -> "Path | None":
    """Return the user's home folder, or `None` when there is neither `HOME` nor an entry for the user."""
    home = os.path.expanduser("~")
    return None if home == "~" else Path(home)


def find(
    env: "Mapping[str, str]", *, home: "Path | None", path: "str | Path | None" = None
) -> "Config | None":
    """Return the configuration that a person set up; `None` when there is none, for the local backend.

    Args:
        env: The process's environment.
        home: The user's home folder, where `.flyte/config.yaml` may be; see `home_folder`.
        path: A file to read instead of the one in `FLYTECTL_CONFIG` or in the home folder.

    Raises:
        UsageError: a file was named and does not exist, or the file is not YAML or has no endpoint.
    """
    file = _file(env, home, path)
    document: dict[str, Any] = _read(file) if file is not None else {}
    reader = _Reader(env, document)
    endpoint = reader.text("PLATFORM_URL", "admin.endpoint")
    # A file in the home folder may configure other tools only. One that was named must name a FlyteAdmin.
    if not endpoint:
        if file is not None and (path or env.get("FLYTECTL_CONFIG")):
            raise UsageError(f"{file} names no FlyteAdmin. Add `admin.endpoint: dns:///host:port`.")
        return None
    in_env = "PLATFORM_URL" in reader.used
    return Config(
        endpoint=_host_and_port(
            endpoint, insecure=reader.flag("PLATFORM_INSECURE", "admin.insecure")
        ),
        insecure=reader.flag("PLATFORM_INSECURE", "admin.insecure"),
        insecure_skip_verify=reader.flag(
            "PLATFORM_INSECURE_SKIP_VERIFY", "admin.insecureSkipVerify"
        ),
        ca_cert_file=reader.text("PLATFORM_CA_CERT_FILE_PATH", "admin.caCertFilePath"),
        http_proxy_url=reader.text("PLATFORM_HTTP_PROXY_URL", "admin.httpProxyURL"),
        auth=_auth(reader),
        proxy_command=reader.words("CREDENTIALS_PROXY_COMMAND", "admin.proxyCommand"),
        console_endpoint=reader.text("PLATFORM_CONSOLE_ENDPOINT", "console.endpoint"),
        project=reader.text("LOCAL_USER_PROJECT", "task.project"),
        domain=reader.text("LOCAL_USER_DOMAIN", "task.domain"),
        source="FLYTE_PLATFORM_URL" if in_env or file is None else str(file),
    )


def is_loopback(endpoint: str) -> bool:
    """Return whether `endpoint` (`host:port`) is an address of this machine's loopback interface."""
    return endpoint.startswith(_LOOPBACK)


class _Reader:
    """Reads one option at a time: from the environment first, then from the file."""

    def __init__(self, env: "Mapping[str, str]", document: "dict[str, Any]") -> None:
        self._env = env
        self._document = document
        self.used: set[str] = set()
        """Options that the environment gave, e.g. `PLATFORM_URL`."""

    def _value(self, option: str, path: str) -> Any:
        value = self._env.get(f"FLYTE_{option}")
        if value is not None:
            self.used.add(option)
            return value
        # `admin.endpoint` is the key `endpoint` in the mapping `admin`.
        found: Any = self._document
        for part in path.split(".") if path else ():
            if not isinstance(found, dict):
                return None
            found = _ignoring_case(found, part)
        return found if path else None

    def text(self, option: str, path: str) -> str:
        """Return an option's text; empty when nothing sets it.

        Args:
            option: The variable's name without `FLYTE_`.
            path: The keys in the file, joined by dots; empty when the file cannot set it.
        """
        value = self._value(option, path)
        return "" if value is None else str(value).strip()

    def flag(self, option: str, path: str) -> bool:
        """Return whether an option is switched on, in the words that flytekit accepts."""
        return self.text(option, path).lower() in ("true", "t", "1", "yes")

    def words(self, option: str, path: str) -> "tuple[str, ...]":
        """Return an option's words: a list in the file; a text is split at white space and commas."""
        value = self._value(option, path)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(shlex.split(value.replace(",", " ")))
        return tuple(str(item) for item in value)


def _ignoring_case(document: "dict[str, Any]", key: str) -> Any:
    """Return the value of a key in any case: flytectl's reader (viper) ignores case, flytekit does not."""
    if key in document:
        return document[key]
    for name, value in document.items():
        if str(name).lower() == key.lower():
            return value
    return None


def _file(
    env: "Mapping[str, str]", home: "Path | None", path: "str | Path | None"
) -> "Path | None":
    named = path or env.get("FLYTECTL_CONFIG")
    if named:
        file = Path(os.path.expanduser(named))
        if not file.is_file():
            named_by = "The given configuration" if path else "FLYTECTL_CONFIG"
            raise UsageError(f"{named_by} is {file}, but there is no such file.")
        return file
    usual = None if home is None else home / ".flyte" / "config.yaml"
    return usual if usual is not None and usual.is_file() else None


def _read(file: Path) -> "dict[str, Any]":
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file} cannot be read as YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(
            f"{file} is not a Flyte configuration: its top level is not a mapping."
            " The old INI format is not read; `flytectl config init` writes a new file."
        )
    return document


def _auth(reader: _Reader) -> AuthConfig:
    named = reader.text("CREDENTIALS_AUTH_MODE", "admin.authType")
    return AuthConfig(
        type=_AUTH_TYPES.get(named.lower(), named or "Pkce"),
        command=reader.words("CREDENTIALS_COMMAND", "admin.command"),
        client_id=reader.text("CREDENTIALS_CLIENT_ID", "admin.clientId"),
        client_secret=reader.text("CREDENTIALS_CLIENT_SECRET", ""),
        client_secret_location=reader.text(
            "CREDENTIALS_CLIENT_SECRET_LOCATION", "admin.clientSecretLocation"
        ),
        client_secret_env_var=reader.text(
            "CREDENTIALS_CLIENT_SECRET_ENV_VAR", "admin.clientSecretEnvVar"
        ),
        scopes=reader.words("CREDENTIALS_SCOPES", "admin.scopes"),
        audience=reader.text("CREDENTIALS_AUDIENCE", "admin.audience"),
    )


def _host_and_port(endpoint: str, *, insecure: bool) -> str:
    """Return an endpoint with its port and without its scheme: `dns:///a.example` is `a.example:443`."""
    bare = endpoint
    for prefix in ("dns:///", "dns:", "https://", "http://"):
        if bare.startswith(prefix):
            bare = bare[len(prefix) :]
            break
    bare = bare.rstrip("/")
    if not bare or any(letter.isspace() for letter in bare):
        raise UsageError(f"The endpoint {endpoint!r} is not host:port.")
    # What follows `]` is all that can be a port: an IPv6 address in brackets has colons itself.
    if ":" not in bare.rpartition("]")[2]:
        bare += ":80" if insecure else ":443"
    return bare
