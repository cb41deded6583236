"""The interpreter that a bundle asks for: one with its locked requirements, of the Python that packed it.

An environment is made by uv once for each lock, interpreter and kind of machine, and kept. Attempts that
need it at the same time wait for the one that makes it; what was left half-made is made anew.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Mapping

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.runtime.spawn import PYTHON_VARIABLE, remove

FOLDER_VARIABLE = "FLYTE_NB_ENVIRONMENTS"
"""The folder of the environments that were made; by default in the user's folder for caches."""
UV_VARIABLE = "UV"
"""Names uv, where it is neither on the path nor installed beside the runtime."""

_READY = "flyte-nb-ready"
_LAST_LINES = 20


def interpreter_for(lock: str, python: str, environ: "Mapping[str, str]") -> str:
    """The interpreter of a task; empty when the one that runs tasks here anyway will do.

    Args:
        lock: path of the task's verified lock, or nothing.
        python: `major.minor` of the Python that the task was packed by.
        environ: variables that say where uv, interpreters and environments are.

    Raises:
        TaskFailed: when its environment cannot be made.
    """
    if not lock:
        # Another Python on the path would lack the task's packages; the worker says what is wrong.
        return ""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = environ.get(PYTHON_VARIABLE, "") or (sys.executable if python == here else python)
    return _environment(lock, base, environ)


def _environment(lock: str, base: str, environ: "Mapping[str, str]") -> str:
    with open(lock, "rb") as file:
        digest = hashlib.sha256(file.read())
    machine = os.uname()
    digest.update("\n".join(("", base, machine.sysname, machine.machine)).encode())
    root = _root(environ)
    folder = os.path.join(root, digest.hexdigest()[:32])
    python = os.path.join(folder, "bin", "python")
    ready = os.path.join(folder, _READY)
    if os.path.exists(ready):
        return python
    uv = _uv(environ)
    try:
        os.makedirs(root, exist_ok=True)
        with open(f"{folder}.lock", "ab") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)  # until the file is closed, or this process dies
            if not os.path.exists(ready):
                remove(folder)
                _make(uv, folder, lock, base, environ)
                with open(ready, "xb"):
                    pass
    except OSError as error:
        raise TaskFailed(_failed(f"{root}: {error}")) from error
    return python


def _make(uv: str, folder: str, lock: str, base: str, environ: "Mapping[str, str]") -> None:
    python = os.path.join(folder, "bin", "python")
    _run([uv, "venv", "--quiet", "--no-project", "--python", base, folder], environ)
    install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--allow-empty-requirements"]
    _run([*install, "--python", python, lock], environ)


def _run(command: "list[str]", environ: "Mapping[str, str]") -> None:
    # 10 ms to import, paid once for each environment.
    import subprocess

    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Variables that would have it use another environment than the one that is made.
        env={name: value for name, value in environ.items() if name not in _MISLEADING},
        check=False,
    )
    if done.returncode:
        raise TaskFailed(_failed("\n".join(done.stdout.splitlines()[-_LAST_LINES:])))


_MISLEADING = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"})


def _failed(why: str) -> ErrorInfo:
    message = (
        "The environment of the task's requirements could not be made. Do its pinned versions exist"
        " for this Python and machine, and can the package index be reached from here?"
        f" uv says:\n{why}"
    )
    return ErrorInfo("USER:EnvironmentFailed", message, USER)


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
        caches = os.path.join(environ.get("HOME") or os.path.expanduser("~"), below)
    return os.path.join(caches, "flyte_nb", "environments")
