"""The home folder of the local backend: its files, and the check that it belongs to this person.

<home>/               0700
  token             0600; a caller has to send it
  metastore.db      SQLite
  objects/          everything stored that is not a row
  attempts/         the executors' notes about running attempts
  lent/             0700; what a client lent to an execution, until that ends
  secrets.env       0600; secrets for executions without a loan; only the person writes it
  backend.json      which process serves this folder, and on which port
  config.yaml       for flytekit and flytectl
  backend.log       rotated
  serving.lock      held by the process that serves this folder
  starting.lock     held while a client decides whether to start a backend
  token.lock        held while a process makes the token
"""

import contextlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

import platformdirs
import yaml

from flyte_nb.admin.locks import FileLock, explained
from flyte_nb.api.errors import BackendError
from flyte_nb.runtime.machine import HostMachine

_TOKEN_BYTES = 32
_TOKEN_TIMEOUT_S = 60.0


class Serving(NamedTuple):
    """The process that serves the folder, as `backend.json` has it. Valid only while the lock is held."""

    pid: int
    """0 after an orderly end."""
    started_at: float
    """When that process started, in seconds since 1970. Only earlier releases read it: clocks get set."""
    port: int
    version: str
    host: str = ""
    boot: str = ""
    """With `host`, the machine: see `machine.HostMachine`."""
    began_s: float = 0.0
    """When that process started, by a clock that nobody sets. It tells a reused process id apart."""
    python: str = ""
    """The interpreter that runs it."""
    dask: str = ""
    """The address of the Dask cluster that runs its attempts; empty when this machine does."""

    @property
    def machine(self) -> HostMachine:
        """Return the machine on which the process runs."""
        return HostMachine(self.host, self.boot)


class Home:
    """One home folder, and the paths of its files."""

    def __init__(self, folder: "Path | None" = None) -> None:
        """Set the paths below `folder`; nothing is read or made.

        Args:
            folder: `None` means `FLYTE_NB_HOME`, else the platform's user data folder.

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
        """Return the URI of the object folder.

        It is a plain path, because flytekit takes `file://` for the name of a folder.
        """
        return str(self.objects)

    def prepare(self) -> None:
        """Create what is missing, and refuse what belongs to somebody else.

        Raises:
            BackendError: when the folder belongs to another user, or cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Before anything in it is changed: another user's folder is not ours to change.
            self._check_owner()
            self._keep_private()
            with FileLock(self.token_lock) as lock:
                # Without the lock, two processes could each make a token, and one would be lost.
                lock.acquire(_TOKEN_TIMEOUT_S)
                self._keep_token()
        except OSError as error:
            raise explained(
                error, f"The local backend's folder {self.folder} cannot be used"
            ) from error

    def _keep_private(self) -> None:
        """Take away other users' permissions, also on files of earlier releases and of editors.

        Files below the folders of objects and attempts are protected by these folders' own permissions.
        """
        self.folder.chmod(0o700)
        for folder in (self.objects, self.attempts):
            folder.mkdir(exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        # Made before SQLite makes it: the -wal and -shm get the mode of the database.
        os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for path in self.folder.iterdir():
            if path == self.token_file:
                continue  # `_keep_token` replaces one that others could read
            # Another process may replace a file between the listing and here: its partial file is gone then.
            with contextlib.suppress(FileNotFoundError):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
                    path.chmod(0o600)

    def token(self) -> str:
        """Return the token that callers have to send.

        Raises:
            BackendError: when there is none, or it cannot be read.
        """
        try:
            return self.token_file.read_text().strip()
        except FileNotFoundError as error:
            raise BackendError(
                f"The token of the running backend is gone: {self.token_file} was deleted.",
                hint="Stop the backend with `flyte-nb down`; the next use makes a new token, and"
                " nothing else is lost.",
            ) from error
        except OSError as error:
            raise explained(error, f"The token {self.token_file} cannot be read") from error

    def serving(self) -> "Serving | None":
        """Return what `backend.json` has, or `None` when it is missing or cannot be read."""
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
                dask=str(document.get("dask", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # It may be half edited or of another release; the lock decides, not this file.
            return None

    def write_serving(self, serving: Serving) -> None:
        """Write which process serves the folder, and a `config.yaml` for its port.

        Raises:
            BackendError: when they cannot be written.
        """
        self._write(self.state_file, json.dumps(serving._asdict()))
        self._write(self.config_file, self._config(serving.port))

    def _config(self, port: int) -> str:
        """Return a configuration for flytekit and flytectl. Its command prints the token."""
        document = {
            "admin": {
                "endpoint": f"dns:///127.0.0.1:{port}",
                "insecure": True,
                "authType": "ExternalCommand",
                # Every system and nearly every image has it; a Python would be another one in an image.
                "command": ["cat", str(self.token_file)],
            }
        }
        return "# Written by flyte-nb at every start of the local backend.\n" + yaml.safe_dump(
            document, sort_keys=False
        )

    def _write(self, path: Path, text: str) -> None:
        # Readers take no lock, so the file has to change in one step.
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
        # The files too: in a folder that others could write to, somebody else may have made the token.
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
        # The mode is set when the file is made. With a later chmod others could read the token for a moment.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_TOKEN_BYTES))
        os.replace(partial, self.token_file)


def private(path: str, flags: int) -> int:
    """Open a file that only this user may read; for `open(opener=…)`."""
    return os.open(path, flags, 0o600)


def _default_folder() -> Path:
    """Return the folder that `FLYTE_NB_HOME` names, else the platform's.

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
        # Each working folder would have a backend of its own.
        raise BackendError(
            f"FLYTE_NB_HOME={configured!r} is a relative path, so it means a different folder for each"
            " working directory.",
            hint="Write an absolute path, for example FLYTE_NB_HOME=/var/tmp/flyte_nb or ~/flyte_nb.",
        )
    return folder


def _absolute(folder: Path) -> Path:
    try:
        return Path(os.path.abspath(_expanded(str(folder))))
    except FileNotFoundError as error:
        raise BackendError(
            f"{folder} is relative to the working directory, which was deleted.",
            hint="Change to a folder that exists (cd ~), or write the whole path.",
        ) from error


def _expanded(path: str) -> Path:
    """Return the path with `~` replaced; raise `BackendError` when there is no home folder."""
    found = os.path.expanduser(path)
    if found.startswith("~"):  # `expanduser` leaves it when it finds no home folder
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
