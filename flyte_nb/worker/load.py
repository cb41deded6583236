"""From a verified payload to a task. Nothing here runs before the host has verified every byte."""

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
    """The task in the file `payload`, with its buffers' files in order.

    Args:
        payload: path of the pickle.
        buffers: paths of its out-of-band buffers. They are mapped, not read; a task may change an
            array, and the file stays as it is.
        modules: folders with local modules, which become importable. An older host names zips, of
            which several may be the parts of one package.
        python: the `major.minor` that wrote the pickle; another one is refused before it is read.

    Raises:
        TaskFailed: when it cannot be loaded here.
    """
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python and python != here:
        raise TaskFailed(_other_python(python, here))
    if not hasattr(builtins, "display"):
        builtins.display = _display  # type: ignore[attr-defined]
    # After the ring, which is first: a module of the user's never stands for one of ours.
    sys.path[1:1] = _importable(modules)
    with open(payload, "rb") as file:
        content = file.read()
    return loads(content, [_map(path) for path in buffers])


def loads(payload: bytes, buffers: "Sequence[Any]" = ()) -> "Task":
    """The task in the pickle `payload`; its cells' source lines are made known to tracebacks.

    Raises:
        TaskFailed: when it cannot be loaded here.
    """
    try:
        task, sources = pickle.loads(payload, buffers=buffers)
    except FlyteNbError as error:
        raise TaskFailed(failures.classify(error)) from error
    except Exception as error:  # unpickling imports the user's modules
        raise TaskFailed(_unloadable(error)) from error
    remember_sources(sources)
    loaded: Task = task
    return loaded


def remember_sources(sources: "Mapping[str, tuple[tuple[int, str], ...]]") -> None:
    """Let tracebacks show the lines of cells, which are in no file here.

    Args:
        sources: by file name, pairs of a first line's number and the text from there on.
    """
    for filename, pieces in sources.items():
        lines: list[str] = []
        for first, text in sorted(pieces):
            lines.extend(["\n"] * (first - 1 - len(lines)))
            lines[first - 1 :] = text.splitlines(keepends=True)
        size = sum(map(len, lines))
        linecache.cache[filename] = (size, None, lines, filename)


def _display(*values: Any, **options: Any) -> Any:
    """`display` of a notebook, loaded when a task calls it."""
    from flyte_nb.worker.notebook_names import display

    return display(*values, **options)


def let_children_import(modules: "Sequence[str]") -> None:
    """Let the Python programs that the task starts find its local modules too."""
    folders = os.pathsep.join(path for path in modules if os.path.isdir(path))
    others = os.environ.get("PYTHONPATH", "")
    if folders and not f"{others}{os.pathsep}".startswith(f"{folders}{os.pathsep}"):
        os.environ["PYTHONPATH"] = f"{folders}{os.pathsep}{others}" if others else folders


def _importable(modules: "Sequence[str]") -> "list[str]":
    zips = [path for path in modules if not os.path.isdir(path)]
    if len(zips) < 2:
        return list(modules)
    from flyte_nb.worker.package_parts import united

    try:
        return united(zips)
    except FlyteNbError as error:
        raise TaskFailed(failures.classify(error)) from error


def _map(path: str) -> Any:
    if os.path.getsize(path) == 0:
        return bytearray()
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _unloadable(error: Exception) -> ErrorInfo:
    if isinstance(error, ModuleNotFoundError):
        message = (
            f"The task needs the module {error.name!r}, which is not installed where it runs"
            f" ({sys.executable}). Install it there, or add it to the task's image; or, if it is a file"
            " of yours, put it beside the notebook and register again."
        )
        return ErrorInfo("USER:ModuleNotFound", f"{message}\n{failures.describe(error)}", "USER")
    message = (
        "The task cannot be loaded where it runs. Are the packages there of the versions that"
        f" the notebook had?\n{failures.describe(error)}"
    )
    return ErrorInfo("USER:BundleLoadFailed", message, "USER")


def _other_python(python: str, here: str) -> ErrorInfo:
    return ErrorInfo(
        "USER:PythonMismatch",
        f"The task was pickled by Python {python}, and {sys.executable}, which runs it, is Python {here};"
        " code cannot be carried over between minor versions. On the local backend: register again, from"
        " the environment that the task shall run in. On a cluster: use an image with Python"
        f" {python}, or register from a kernel that runs Python {here}.",
        "USER",
    )
