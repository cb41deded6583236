"""The home folder of the local backend: what lies where, and that it is really this person's.

<home>/             0700
token             0600; who has it may call
metastore.db      SQLite
objects/          everything stored that is not a row
attempts/         what executors know of running attempts
lent/             0700; what the launching side lent to an execution, until that ends
secrets.env       0600; secrets for what others launch: written by the person, never by us
backend.json      who serves this folder now, and where
config.yaml       for flytekit and flytectl
backend.log       rotated
serving.lock      held by the process that serves this folder
starting.lock     held while somebody looks whether to start it
token.lock        held while somebody looks whether there is a token, and makes it
"""

import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import platformdirs
import yaml

from flyte_nb.admin.locks import FileLock, explained
from flyte_nb.api.errors import BackendError
from flyte_nb.runtime.machine import Machine

_TOKEN_BYTES = 32
_TOKEN_TIMEOUT_S = 60.0


class Serving(NamedTuple):
    """Who serves the folder, as `backend.json` says; true only while the lock is held."""

    pid: int
    """0 when the last one ended as it should."""
    started_at: float
    """Of that process, in seconds since the epoch; earlier releases read it. The clock may be set."""
    port: int
    version: str
    host: str = ""
    boot: str = ""
    """With `host`, the machine: see `machine.Machine`."""
    began_s: float = 0.0
    """Of that process, by a clock that nobody sets: a process id alone may be another's by now."""
    python: str = ""
    """The interpreter that runs it."""

    @property
    def machine(self) -> Machine:
        """The machine that the process is on."""
        return Machine(self.host, self.boot)


class Home:
    """One home folder."""

    def __init__(self, folder: "Path | None" = None) -> None:
        """Take `folder`; `None` means `FLYTE_NB_HOME`, else the platform's user data folder.

        Raises:
            BackendError: when it is not clear which folder is meant.
        """
        self.folder = _absolute(folder) if folder else _default_folder()
        self.token_file = self.folder / "token"
        self.database = self.folder / "metastore.db"
        self.objects = self.folder / "objects"
        self.attempts = self.folder / "attempts"
        self.lent = self.folder / "lent"
        self.secrets_file = self.folder / "secrets.env"
        self.state_file = self.folder / "backend.json"
        self.config_file = self.folder / "config.yaml"
        self.log_file = self.folder / "backend.log"
        self.start_log_file = self.folder / "start.log"
        self.serving_lock = self.folder / "serving.lock"
        self.starting_lock = self.folder / "starting.lock"
        self.token_lock = self.folder / "token.lock"

    @property
    def storage_root(self) -> str:
        """URI of the object folder: a plain path, because flytekit takes `file://` for a folder's name."""
        return str(self.objects)

    def prepare(self) -> None:
        """Create what is missing, and refuse what is not this person's.

        Raises:
            BackendError: when the folder belongs to somebody else, or cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._check_owner()
            self._keep_private()
            with FileLock(self.token_lock) as lock:
                lock.acquire(_TOKEN_TIMEOUT_S)  # of two that make one, the first would be lost
                self._keep_token()
        except OSError as error:
            raise explained(
                error, f"The local backend's folder {self.folder} cannot be used"
            ) from error

    def _keep_private(self) -> None:
        """Let nobody else read what is here: also not what an earlier release or an editor wrote.

        What is below the folders of objects and attempts is as private as these folders are.
        """
        self.folder.chmod(0o700)
        for folder in (self.objects, self.attempts):
            folder.mkdir(exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        # SQLite gives its files beside the database the mode of the database.
        os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for path in self.folder.iterdir():
            if path == self.token_file:
                continue  # one that others were able to read is replaced
            if stat.S_ISREG(path.lstat().st_mode) and stat.S_IMODE(path.lstat().st_mode) & 0o077:
                path.chmod(0o600)

    def token(self) -> str:
        """The token that callers need.

        Raises:
            BackendError: when there is none, or somebody else could read it.
        """
        try:
            return self.token_file.read_text().strip()
        except FileNotFoundError as error:
            raise BackendError(
                f"The token of the backend that runs is gone: {self.token_file} was deleted.",
                hint="Stop the backend with `flyte-nb down`; the next use makes a new token, and"
                " nothing else is lost.",
            ) from error
        except OSError as error:
            raise explained(error, f"The token {self.token_file} cannot be read") from error

    def serving(self) -> "Serving | None":
        """What `backend.json` says, or `None` when it says nothing that can be read."""
        try:
            document = json.loads(self.state_file.read_text())
            return Serving(
                pid=int(document["pid"]),
                started_at=float(document["started_at"]),
                port=int(document["port"]),
                version=str(document["version"]),
                host=str(document.get("host", "")),
                boot=str(document.get("boot", "")),
                began_s=float(document.get("began_s", 0.0)),
                python=str(document.get("python", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_serving(self, serving: Serving) -> None:
        """Say who serves the folder now, and write the `config.yaml` that fits."""
        self._write(self.state_file, json.dumps(serving._asdict()))
        self._write(self.config_file, self._config(serving.port))

    def _config(self, port: int) -> str:
        """A configuration for flytekit and flytectl: the command prints the token."""
        show = "import sys; sys.stdout.write(open(sys.argv[1]).read())"
        document = {
            "admin": {
                "endpoint": f"dns:///127.0.0.1:{port}",
                "insecure": True,
                "authType": "ExternalCommand",
                "command": [sys.executable, "-I", "-S", "-c", show, str(self.token_file)],
            }
        }
        return "# Written by flyte-nb at every start of the local backend.\n" + yaml.safe_dump(
            document, sort_keys=False
        )

    def _write(self, path: Path, text: str) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with open(partial, "w", opener=private) as file:
                file.write(text)
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise explained(error, f"{path} cannot be written") from error

    def _check_owner(self) -> None:
        if not hasattr(os, "getuid"):
            return
        for path in (self.folder, self.token_file, self.database):
            owner = _owner(path)
            if owner is not None and owner != os.getuid():
                raise BackendError(
                    f"{path} belongs to user {owner}, not to you (user {os.getuid()}).",
                    hint="Set FLYTE_NB_HOME to a folder of your own.",
                )

    def _keep_token(self) -> None:
        """Make a token once; again, when others were able to read it."""
        try:
            mode = stat.S_IMODE(self.token_file.stat().st_mode)
            if mode & 0o077 == 0 and self.token_file.read_text().strip():
                return
        except FileNotFoundError:
            pass
        partial = self.token_file.with_name(f".token.{os.getpid()}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_TOKEN_BYTES))
        os.replace(partial, self.token_file)


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read; for `open(opener=…)`."""
    return os.open(path, flags, 0o600)


def _default_folder() -> Path:
    """The folder that `FLYTE_NB_HOME` names, else the platform's.

    Raises:
        BackendError: when it is relative, or there is no home folder to find it in.
    """
    configured = os.environ.get("FLYTE_NB_HOME")
    if not configured:
        try:
            return _expanded(platformdirs.user_data_dir("flyte_nb"))
        except RuntimeError:  # some releases of platformdirs raise it, others leave the `~`
            raise _no_home() from None
    folder = _expanded(configured)
    if not folder.is_absolute():
        # Relative to what? Each working folder would have a backend of its own.
        raise BackendError(
            f"FLYTE_NB_HOME={configured!r} is a relative path, and means another folder wherever a"
            " notebook or a command is started.",
            hint="Write the whole path, for example FLYTE_NB_HOME=/var/tmp/flyte_nb or ~/flyte_nb.",
        )
    return folder


def _absolute(folder: Path) -> Path:
    try:
        return Path(os.path.abspath(_expanded(str(folder))))
    except FileNotFoundError as error:
        raise BackendError(
            f"{folder} is relative to the working directory, and that was deleted.",
            hint="Change to a folder that exists (cd ~), or write the whole path.",
        ) from error


def _expanded(path: str) -> Path:
    """The path with `~` replaced. Raises `BackendError` when there is no home folder."""
    found = os.path.expanduser(path)
    if found.startswith("~"):  # Python leaves it when it does not know
        raise _no_home()
    return Path(os.path.normpath(found))


def _no_home() -> BackendError:
    return BackendError(
        "There is no home folder to keep the local backend's state in: HOME is not set, and user"
        f" {os.getuid()} is not in the password database.",
        hint="Set HOME, or set FLYTE_NB_HOME to a folder that you may write, for example"
        f" FLYTE_NB_HOME=/var/tmp/flyte_nb-{os.getuid()}.",
    )


def _owner(path: Path) -> "int | None":
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None
