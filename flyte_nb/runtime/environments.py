"""The interpreter that a bundle asks for: one with its locked requirements, of the Python that packed it.

An environment is made by uv once for each lock, interpreter and kind of machine, and kept for as long as
it is used. Attempts that need it at the same time wait for the one that makes it; what was left half-made
is made anew. Whoever makes one removes those that nobody used for `FLYTE_NB_ENVIRONMENTS_DAYS`.
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
"""The folder of the environments that were made; by default in the user's folder for caches."""
UV_VARIABLE = "UV"
"""Names uv, where it is neither on the path nor installed beside the runtime."""

TIMEOUT_VARIABLE = "FLYTE_NB_ENVIRONMENT_TIMEOUT_S"
"""Seconds that uv has for making an environment; 1800 when it is not set."""
DAYS_VARIABLE = "FLYTE_NB_ENVIRONMENTS_DAYS"
"""Days without use after which an environment is removed; 30 when it is not set, 0 for never."""

_READY = "flyte-nb-ready"
"""A file of a whole environment; its time is when the environment was last used."""
_TIMEOUT_S = 1800.0
_DAYS = 30.0
_HEARTBEAT_S = 30.0
_LOOK_S = 0.05
_LAST_LINES = 20


class Interpreter:
    """A task's interpreter. Its environment is not removed while this value lives."""

    def __init__(self, path: str = "", guard: int = -1) -> None:
        self.path = path
        """Empty when the one that runs tasks here anyway will do."""
        self._guard = guard

    def __del__(self) -> None:
        if self._guard >= 0:
            os.close(self._guard)


class Watch(NamedTuple):
    """How whoever needs an environment follows the making of it."""

    say: "Callable[[str], object]" = lambda text: sys.stderr.write(text)
    """Writes to its log."""
    interrupted: "Callable[[], bool]" = bool
    """Whether it is not needed any more."""


def interpreter_for(
    lock: str, python: str, environ: "Mapping[str, str]", watch: "Watch | None" = None
) -> Interpreter:
    """The interpreter of a task.

    Args:
        lock: path of the task's verified lock, or nothing.
        python: `major.minor` of the Python that the task was packed by.
        environ: variables that say where uv, interpreters and environments are.
        watch: follows the making; `None` means on standard error, to the end.

    Raises:
        TaskFailed: when its environment cannot be made.
    """
    if not lock:
        # Another Python on the path would lack the task's packages; the worker says what is wrong.
        return Interpreter()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = environ.get(PYTHON_VARIABLE, "") or (sys.executable if python == here else python)
    root = _root(environ)
    folder = os.path.join(root, _name(lock, base))
    path = os.path.join(folder, "bin", "python")
    try:
        guard = _guard(folder)
    except OSError as error:
        if os.path.exists(os.path.join(folder, _READY)):  # an image's own, which nobody removes
            return Interpreter(path)
        raise TaskFailed(_failed(f"{root}: {error}")) from error
    found = Interpreter(path, guard)
    try:
        _Making(folder, guard, environ, watch or Watch()).see_to_it(lock, base)
    except OSError as error:
        raise TaskFailed(_failed(f"{root}: {error}")) from error
    return found


def _name(lock: str, base: str) -> str:
    with open(lock, "rb") as file:
        digest = hashlib.sha256(file.read())
    machine = os.uname()
    digest.update("\n".join(("", base, machine.sysname, machine.machine)).encode())
    return digest.hexdigest()[:32]


def _guard(folder: str) -> int:
    """The file whose lock is exclusive for who makes or removes the environment, shared for who uses it."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    return os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


class _Making:
    """Has an environment made, if it is not there."""

    def __init__(self, folder: str, guard: int, environ: "Mapping[str, str]", watch: Watch) -> None:
        self._folder = folder
        self._ready = os.path.join(folder, _READY)
        self._guard = guard
        self._environ = environ
        self._watch = watch
        self._timeout_s = _number(environ, TIMEOUT_VARIABLE, _TIMEOUT_S)
        self._began = self._said = time.monotonic()

    def see_to_it(self, lock: str, base: str) -> None:
        """Afterwards it is there, and this process is one of those that use it."""
        while not (self._has_lock(fcntl.LOCK_SH) and os.path.exists(self._ready)):
            # Two that both share a lock would wait for each other.
            fcntl.flock(self._guard, fcntl.LOCK_UN)
            if not self._has_lock(fcntl.LOCK_EX):
                self._pause("another attempt makes the environment of the task's requirements")
            elif not os.path.exists(self._ready):
                self._make(_uv(self._environ), lock, base)
        with suppress(OSError):  # a folder of somebody else's
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
        # 10 ms to import, paid once for each environment.
        import subprocess

        # Not a pipe: what uv has started may hold it open when uv has ended.
        with open(f"{self._folder}.log", "w+b") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: it for name, it in self._environ.items() if name not in _MISLEADING},
                pass_fds=(self._guard,),  # the lock is uv's, too, should this process be killed
            )
            try:
                while process.poll() is None:
                    self._pause("uv makes the environment of the task's requirements")
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            said = log.read().decode("utf-8", "replace").splitlines()
        if process.returncode:
            raise TaskFailed(_failed("\n".join(said[-_LAST_LINES:])))
        os.unlink(f"{self._folder}.log")

    def _pause(self, why: str) -> None:
        """Wait a moment, and tell from time to time for what.

        Raises:
            TaskFailed: when nobody waits any more, or it takes too long.
        """
        time.sleep(_LOOK_S)
        now = time.monotonic()
        if self._watch.interrupted():
            message = "The attempt was interrupted while the environment of its task was made."
            raise TaskFailed(ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True))
        if now - self._began > self._timeout_s:
            raise TaskFailed(_too_late(self._timeout_s, f"{self._folder}.log"))
        if now - self._said > _HEARTBEAT_S:
            self._said = now
            self._watch.say(f"After {now - self._began:.0f} s {why}.\n")


def remove_unused(root: str, environ: "Mapping[str, str]") -> "list[str]":
    """Remove the environments below `root` that nobody has used for long, and nobody uses; their paths."""
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
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else it is in use
            ready = os.path.join(folder, _READY)
            if os.stat(ready if os.path.exists(ready) else folder).st_mtime < oldest:
                with suppress(FileNotFoundError):
                    os.unlink(ready)  # first: what is left of it is not whole
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


def _failed(why: str) -> ErrorInfo:
    message = (
        "The environment of the task's requirements could not be made. Do its pinned versions exist"
        " for this Python and machine, and can the package index be reached from here?"
        f" uv says:\n{why}"
    )
    return ErrorInfo("USER:EnvironmentFailed", message, USER)


def _no_home() -> ErrorInfo:
    message = (
        "There is no folder to keep the environment of the task's requirements in: HOME is not set, and"
        " this user is not in the password database. Set HOME, or name a folder by the variable"
        f" {FOLDER_VARIABLE}."
    )
    return ErrorInfo("USER:EnvironmentFailed", message, USER)


def _too_late(timeout_s: float, log: str) -> ErrorInfo:
    message = (
        f"The environment of the task's requirements was not made after {timeout_s:g} s. Can the"
        f" package index be reached from here? What uv said is in {log}. The variable"
        f" {TIMEOUT_VARIABLE} gives it more time."
    )
    return ErrorInfo("SYSTEM:EnvironmentTimeout", message, SYSTEM, recoverable=True)


def _uv(environ: "Mapping[str, str]") -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    for found in (environ.get(UV_VARIABLE, ""), _on_path("uv", environ), beside):
        if found and os.access(found, os.X_OK):
            return found
    message = (
        "The task has locked requirements, and uv, which makes the environment, is not here."
        f" Install it where tasks run (pip install uv), or name it by the variable {UV_VARIABLE}."
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
        if home == "~":  # Python leaves it when it does not know
            raise TaskFailed(_no_home())
        caches = os.path.join(home, below)
    return os.path.join(caches, "flyte_nb", "environments")
