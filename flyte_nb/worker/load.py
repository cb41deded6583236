"""Load a task from its verified payload. The host has verified every byte before anything here runs."""

import builtins
import linecache
import mmap
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import ErrorInfo, FlyteNbError, TaskFailed
from flyte_nb.worker import failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyte_nb.sdk.task import Task


def load(
    payload: str,
    buffers: "Sequence[str]" = (),
    modules: "Sequence[str]" = (),
    *,
    python: str = "",
) -> "Task":
    """Return the task that is pickled in the file `payload`.

    Args:
        payload: path of the pickle.
        buffers: paths of its out-of-band buffers, in order. They are mapped copy-on-write and not read: a
            task may change an array, and the file does not change.
        modules: folders with local modules, which become importable. An older host names zips, of which
            several may be the parts of one package.
        python: the `major.minor` of the Python that wrote the pickle; empty means any.

    Raises:
        TaskFailed: when another Python wrote it, a module is missing, or it cannot be unpickled.
    """
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    # Pickled functions hold bytecode, and each minor version has its own. Other bytecode could crash Python.
    if python and python != here:
        raise TaskFailed(_other_python(python, here))
    # Cells call `display`, which IPython puts among the built-in names.
    if not hasattr(builtins, "display"):
        builtins.display = _display  # type: ignore[attr-defined]
    # Behind the ring, which is first, so that no module of the user replaces one of ours.
    sys.path[1:1] = _importable(modules)
    with open(payload, "rb") as file:
        content = file.read()
    return loads(content, [_map(path) for path in buffers])


def loads(payload: bytes, buffers: "Sequence[Any]" = ()) -> "Task":
    """Return the task in the pickle `payload`, and let tracebacks show its cells' source lines.

    Args:
        payload: the pickle's bytes.
        buffers: its out-of-band buffers, in order.

    Raises:
        TaskFailed: when a module is missing, or the pickle cannot be read.
    """
    try:
        # Unpickling runs whatever code the payload names. It is safe only because the host verified the
        # digest.
        task, sources = pickle.loads(payload, buffers=buffers)
    except FlyteNbError as error:
        raise TaskFailed(failures.classify(error)) from error
    except Exception as error:  # unpickling imports the user's modules
        raise TaskFailed(_unloadable(error)) from error
    remember_sources(sources)
    loaded: Task = task
    return loaded


def remember_sources(sources: "Mapping[str, tuple[tuple[int, str], ...]]") -> None:
    """Let tracebacks show the source lines of cells, which are in no file on this machine.

    Args:
        sources: by file name, pairs of a first line's number and the text from there on.
    """
    for filename, pieces in sources.items():
        lines: list[str] = []
        for first, text in sorted(pieces):
            lines.extend(["\n"] * (first - 1 - len(lines)))  # text that was not packed is blank
            lines[first - 1 :] = text.splitlines(keepends=True)
        size = sum(map(len, lines))
        # An entry without a time of change is kept by `linecache.checkcache`, although no such file exists.
        linecache.cache[filename] = (size, None, lines, filename)


def _display(*values: Any, **options: Any) -> Any:
    """Do what a notebook's `display` does; its module is loaded at the first call."""
    from flyte_nb.worker.notebook_names import display

    return display(*values, **options)


def let_children_import(modules: "Sequence[str]") -> None:
    """Let Python programs that the task starts import its local modules, through `PYTHONPATH`."""
    folders = os.pathsep.join(path for path in modules if os.path.isdir(path))
    others = os.environ.get("PYTHONPATH", "")
    # A process may come here again, and must not put the same folders there twice.
    if folders and not f"{others}{os.pathsep}".startswith(f"{folders}{os.pathsep}"):
        os.environ["PYTHONPATH"] = f"{folders}{os.pathsep}{others}" if others else folders


def _importable(modules: "Sequence[str]") -> "list[str]":
    """Return the paths to import from, with the parts of each package united.

    Raises:
        TaskFailed: when a united package cannot be written.
    """
    zips = [path for path in modules if not os.path.isdir(path)]
    # Python takes a package from the first entry of the path that has it, and never sees its parts in others.
    if len(zips) < 2:
        return list(modules)
    from flyte_nb.worker.package_parts import united  # only for zips of older hosts

    try:
        return united(zips)
    except FlyteNbError as error:
        raise TaskFailed(failures.classify(error)) from error


def _map(path: str) -> Any:
    if os.path.getsize(path) == 0:
        return bytearray()  # an empty file cannot be mapped
    with open(path, "rb") as file:
        # Pages are read when they are touched, and a zygote's forks share those that nobody changes.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _unloadable(error: Exception) -> ErrorInfo:
    if isinstance(error, ModuleNotFoundError):
        message = (
            f"The task needs the module {error.name!r}, which is not installed where it runs"
            f" ({sys.executable}). Install it there, or add it to the task's image. If it is a file of"
            " yours, put it beside the notebook and register again."
        )
        return ErrorInfo("USER:ModuleNotFound", f"{message}\n{failures.describe(error)}", "USER")
    message = (
        "The task cannot be loaded where it runs. Check that the packages there have the versions"
        f" that the notebook had.\n{failures.describe(error)}"
    )
    return ErrorInfo("USER:BundleLoadFailed", message, "USER")


def _other_python(python: str, here: str) -> ErrorInfo:
    return ErrorInfo(
        "USER:PythonMismatch",
        f"The task was pickled by Python {python}, and {sys.executable}, which runs it, is Python {here}."
        " Pickled code works in one minor version only. On the local backend, register again from the"
        " environment that the task should run in. On a cluster, use an image with Python"
        f" {python}, or register from a kernel that runs Python {here}.",
        "USER",
    )
