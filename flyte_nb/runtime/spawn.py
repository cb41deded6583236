"""Start the worker's interpreter before anything else of this package is imported.

This module imports only what every Python has loaded already, so that the worker boots while the host
imports the rest.
"""

import os
import sys

# Importing `typing` takes time. Type checkers take this name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

PYTHON_VARIABLE = "FLYTE_NB_WORKER_PYTHON"
"""The path of the interpreter that has the user's packages; unset means the host's own."""

FOLDERS_VARIABLE = "FLYTE_NB_WORKER_FOLDERS"
"""The folders in which that interpreter finds packages, joined as in `PATH`; unset means its own."""


class Spawned:
    """A started interpreter, the host's descriptors of its pipe, and the attempt's folder."""

    def __init__(self, pid: int, read_fd: int, write_fd: int, folder: str) -> None:
        self.pid = pid
        """The process number; 0 after the process has ended."""
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.folder = folder


def interpreter(environ: "Mapping[str, str] | None" = None) -> str:
    """Return the path of the worker's interpreter."""
    return (os.environ if environ is None else environ).get(PYTHON_VARIABLE) or sys.executable


def spawn(folder: str, python: str = "") -> Spawned:
    """Start the worker's bootstrap, which waits for the path of the ring.

    Args:
        folder: The attempt's local folder.
        python: Path of the interpreter; empty means the usual one.

    Raises:
        OSError: when there is no such interpreter.
    """
    child_read, own_write = os.pipe()
    own_read, child_write = os.pipe()
    # Python's descriptors are not inherited (PEP 446), so the child's two ends are marked.
    os.set_inheritable(child_read, True)
    os.set_inheritable(child_write, True)
    environ = with_python(os.environ, python) if python else os.environ
    try:
        pid = start("bootstrap.py", (str(child_read), str(child_write), folder), environ)
    except OSError:
        os.close(own_read)
        os.close(own_write)
        raise
    finally:
        # With copies of the child's ends here, the pipe would stay open after the child's end.
        os.close(child_read)
        os.close(child_write)
    return Spawned(pid, own_read, own_write, folder)


def start(
    script: str,
    arguments: "Iterable[str]",
    environ: "Mapping[str, str]",
    file_actions: "Iterable[tuple[Any, ...]]" = (),
) -> int:
    """Start one of the worker's scripts in the worker's interpreter; return the process number.

    Args:
        script: Name of the file in `flyte_nb/worker`.
        arguments: The script's arguments.
        environ: The variables. Those that choose the interpreter are not passed on.
        file_actions: As for `os.posix_spawn`.

    Raises:
        OSError: when there is no such interpreter.
    """
    python = interpreter(environ)
    folders = environ.get(FOLDERS_VARIABLE, "")
    environment = {name: value for name, value in environ.items() if name not in _OURS}
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # -I: neither the working folder nor PYTHONPATH nor the user's folder may shadow what the worker imports.
    command = [python, "-I", os.path.join(here, "worker", script), *arguments, folders]
    # Start-up: `subprocess` takes 10 ms to import, and this starts one program.
    return os.posix_spawn(python, command, environment, file_actions=tuple(file_actions))


def with_python(environ: "Mapping[str, str]", python: str) -> "dict[str, str]":
    """Return the variables with another interpreter, which finds packages in its own folders only."""
    return {**environ, PYTHON_VARIABLE: python, FOLDERS_VARIABLE: ""}


_OURS = (PYTHON_VARIABLE, FOLDERS_VARIABLE)


def end(spawned: Spawned) -> None:
    """Kill the interpreter if it still runs, for the ways out on which nobody else has."""
    if spawned.pid:
        os.kill(spawned.pid, 9)
        # Otherwise the process would stay a zombie as long as this one lives.
        os.waitpid(spawned.pid, 0)
        spawned.pid = 0
