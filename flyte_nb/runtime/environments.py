"""Find or make the interpreter that a bundle needs: one that has the task's locked requirements.

uv makes an environment once for each lock, interpreter and kind of machine, and attempts share it.
Attempts that need it while it is made wait. An environment that was left half-made is made anew. The
attempt that makes one also removes those that were not used for `FLYTE_NB_ENVIRONMENTS_DAYS`.

Each environment has a lock file beside it. An attempt that uses the environment holds the lock shared,
for as long as it runs; to make or remove it takes the lock exclusively. The kernel frees a lock when
its process dies, so nothing has to be cleaned up after a crash.
"""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.runtime.spawn import PYTHON_VARIABLE
from flyte_nb.storage.work_folders import remove

FOLDER_VARIABLE = "FLYTE_NB_ENVIRONMENTS"
"""The folder in which environments are made; by default in the user's folder for caches."""
UV_VARIABLE = "UV"
"""The path of uv, where it is neither on `PATH` nor installed beside this interpreter."""

TIMEOUT_VARIABLE = "FLYTE_NB_ENVIRONMENT_TIMEOUT_S"
"""Seconds that uv has for making an environment; 1800 when it is not set."""
DAYS_VARIABLE = "FLYTE_NB_ENVIRONMENTS_DAYS"
"""Days without use after which an environment is removed; 30 when it is not set, 0 for never."""

_READY = "flyte-nb-ready"
"""A file in every complete environment. Its time is when the environment was last used."""
_TIMEOUT_S = 1800.0
_DAYS = 30.0
_HEARTBEAT_S = 30.0
"""How often a waiting attempt writes to its log for what it waits."""
_LOOK_S = 0.05
_LAST_LINES = 20
"""How many of uv's last lines are in an error."""


class Interpreter:
    """A task's interpreter. Its environment is not removed while this value lives."""

    def __init__(self, path: str = "", guard: int = -1) -> None:
        self.path = path
        """Its path; empty when the usual interpreter will do."""
        self._guard = guard

    def __del__(self) -> None:
        if self._guard >= 0:
            os.close(self._guard)


class InstallationWatch(NamedTuple):
    """How the attempt that waits for an environment is kept informed, and how it can stop waiting."""

    say: "Callable[[str], object]" = lambda text: sys.stderr.write(text)
    """Writes to the attempt's log."""
    interrupted: "Callable[[], bool]" = bool
    """Returns whether the attempt has to end; `bool` never does."""


def interpreter_for(
    lock: str, python: str, environ: "Mapping[str, str]", watch: "InstallationWatch | None" = None
) -> Interpreter:
    """Return the interpreter of a task; make its environment first if it does not exist.

    Args:
        lock: Path of the task's verified lock file of requirements; empty when it has none.
        python: `major.minor` of the Python that packed the task.
        environ: Variables that say where uv, interpreters and environments are.
        watch: Follows the waiting; `None` writes to standard error and never stops early.

    Raises:
        TaskFailed: when the environment cannot be made, or not in time, or when the attempt was interrupted.
    """
    if not lock:
        # The usual interpreter is used also if its version is another. A Python of the right version
        # elsewhere would lack the task's packages, and the worker's error about the version is the more
        # helpful one.
        return Interpreter()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = environ.get(PYTHON_VARIABLE, "") or (sys.executable if python == here else python)
    root = _root(environ)
    folder = os.path.join(root, _name(lock, base))
    path = os.path.join(folder, "bin", "python")
    try:
        guard = _guard(folder)
    except OSError as error:
        if os.path.exists(os.path.join(folder, _READY)):
            # The folder is read-only: an image brings the environment, and nobody removes it.
            return Interpreter(path)
        raise TaskFailed(_failed(f"{root}: {error}")) from error
    found = Interpreter(path, guard)
    try:
        _Making(folder, guard, environ, watch or InstallationWatch()).ensure(lock, base)
    except OSError as error:
        raise TaskFailed(_failed(f"{root}: {error}")) from error
    return found


def _name(lock: str, base: str) -> str:
    """Return the folder name of an environment: what it depends on, hashed."""
    with open(lock, "rb") as file:
        digest = hashlib.sha256(file.read())
    machine = os.uname()
    digest.update("\n".join(("", base, machine.sysname, machine.machine)).encode())
    return digest.hexdigest()[:32]


def _guard(folder: str) -> int:
    """Open the environment's lock file; the caller locks it."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    return os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


class _Making:
    """Waits for an environment, or makes it."""

    def __init__(
        self, folder: str, guard: int, environ: "Mapping[str, str]", watch: InstallationWatch
    ) -> None:
        self._folder = folder
        self._ready = os.path.join(folder, _READY)
        self._guard = guard
        self._environ = environ
        self._watch = watch
        self._timeout_s = _number(environ, TIMEOUT_VARIABLE, _TIMEOUT_S)
        self._began = self._last_message = time.monotonic()

    def ensure(self, lock: str, base: str) -> None:
        """Make the environment if it does not exist, and hold its lock shared.

        Raises:
            TaskFailed: when it cannot be made, or not in time, or when the attempt was interrupted.
            OSError: when the folder cannot be read or written.
        """
        while not (self._has_lock(fcntl.LOCK_SH) and os.path.exists(self._ready)):
            # It is not complete, so make it. The shared lock is given up first: two attempts that hold
            # it and both want the exclusive one would wait for each other for ever.
            fcntl.flock(self._guard, fcntl.LOCK_UN)
            if not self._has_lock(fcntl.LOCK_EX):
                self._pause("another attempt makes the environment of the task's requirements")
            elif not os.path.exists(self._ready):
                # Asked once more, with the lock: another attempt may have made it since.
                self._make(_uv(self._environ), lock, base)
        with suppress(OSError):  # it may belong to another user
            os.utime(self._ready)

    def _has_lock(self, mode: int) -> bool:
        try:
            fcntl.flock(self._guard, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _make(self, uv: str, lock: str, base: str) -> None:
        remove(self._folder)
        python = os.path.join(self._folder, "bin", "python")
        install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--allow-empty-requirements"]
        try:
            self._run([uv, "venv", "--quiet", "--no-project", "--python", base, self._folder])
            self._run([*install, "--python", python, lock])
            with open(self._ready, "xb"):
                pass
        except BaseException:
            remove(self._folder)
            raise
        remove_unused(os.path.dirname(self._folder), self._environ)

    def _run(self, command: "list[str]") -> None:
        # Start-up: it takes 10 ms to import, and is needed once for each environment.
        import subprocess

        # A file and not a pipe: a process that uv started may hold a pipe open after uv has ended.
        with open(f"{self._folder}.log", "w+b") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: it for name, it in self._environ.items() if name not in _MISLEADING},
                # uv holds the lock too. If this process is killed, uv goes on, and nobody may start
                # another one.
                pass_fds=(self._guard,),
            )
            try:
                while process.poll() is None:
                    self._pause("uv makes the environment of the task's requirements")
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").splitlines()
        if process.returncode:
            raise TaskFailed(_failed("\n".join(lines[-_LAST_LINES:])))
        os.unlink(f"{self._folder}.log")

    def _pause(self, why: str) -> None:
        """Wait a moment, and write to the log every 30 seconds for what.

        Raises:
            TaskFailed: when the attempt was interrupted, or the waiting takes too long.
        """
        time.sleep(_LOOK_S)
        now = time.monotonic()
        if self._watch.interrupted():
            message = "The attempt was interrupted while the environment of its task was made."
            raise TaskFailed(ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True))
        if now - self._began > self._timeout_s:
            raise TaskFailed(_too_late(self._timeout_s, f"{self._folder}.log"))
        if now - self._last_message > _HEARTBEAT_S:
            self._last_message = now
            self._watch.say(f"Waiting for {now - self._began:.0f} s: {why}.\n")


def remove_unused(root: str, environ: "Mapping[str, str]") -> "list[str]":
    """Remove the environments below `root` that are long unused and not in use; return their paths."""
    days = _number(environ, DAYS_VARIABLE, _DAYS)
    if not days:
        return []
    oldest = time.time() - days * 86400
    return [
        folder
        for name in sorted(os.listdir(root))
        if os.path.isdir(folder := os.path.join(root, name)) and _removed(folder, oldest)
    ]


def _removed(folder: str, oldest: float) -> bool:
    with suppress(OSError):
        guard = _guard(folder)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises when it is in use
            ready = os.path.join(folder, _READY)
            if os.stat(ready if os.path.exists(ready) else folder).st_mtime < oldest:
                # This file goes first. If we are killed now, the rest counts as half-made.
                with suppress(FileNotFoundError):
                    os.unlink(ready)
                remove(folder)
                return True
        finally:
            os.close(guard)
    return False


def _number(environ: "Mapping[str, str]", name: str, usual: float) -> float:
    try:
        return max(0.0, float(environ.get(name) or usual))
    except ValueError:
        return usual


_MISLEADING = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"})
"""Variables that would make uv work on another environment than the one that we name."""


def _failed(why: str) -> ErrorInfo:
    message = (
        "The environment of the task's requirements could not be made. Do its pinned versions exist"
        " for this Python and machine, and can the package index be reached from here?"
        f" uv says:\n{why}"
    )
    return ErrorInfo("USER:EnvironmentFailed", message, USER)


def _no_home() -> ErrorInfo:
    message = (
        "There is no folder for the environment of the task's requirements: HOME is not set, and this"
        " user is not in the password database. Set HOME, or name a folder by the variable"
        f" {FOLDER_VARIABLE}."
    )
    return ErrorInfo("USER:EnvironmentFailed", message, USER)


def _too_late(timeout_s: float, log: str) -> ErrorInfo:
    message = (
        f"The environment of the task's requirements was not made after {timeout_s:g} s. Can the"
        f" package index be reached from here? uv's output is in {log}. Set the variable"
        f" {TIMEOUT_VARIABLE} to allow more time."
    )
    return ErrorInfo("SYSTEM:EnvironmentTimeout", message, SYSTEM, recoverable=True)


def _uv(environ: "Mapping[str, str]") -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    for found in (environ.get(UV_VARIABLE, ""), _on_path("uv", environ), beside):
        if found and os.access(found, os.X_OK):
            return found
    message = (
        "The task has locked requirements, and uv, which makes their environment, is not installed here."
        f" Install it where tasks run (pip install uv), or set the variable {UV_VARIABLE} to its path."
    )
    raise TaskFailed(ErrorInfo("SYSTEM:UvMissing", message, SYSTEM))


def _on_path(name: str, environ: "Mapping[str, str]") -> str:
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return ""


def _root(environ: "Mapping[str, str]") -> str:
    named = environ.get(FOLDER_VARIABLE, "")
    if named:
        return os.path.abspath(named)
    caches = environ.get("XDG_CACHE_HOME", "")
    if not caches:
        below = "Library/Caches" if sys.platform == "darwin" else ".cache"
        home = environ.get("HOME") or os.path.expanduser("~")
        if home == "~":  # `expanduser` leaves it unchanged when it finds no home
            raise TaskFailed(_no_home())
        caches = os.path.join(home, below)
    return os.path.join(caches, "flyte_nb", "environments")
