"""Collect the author's own modules where a task runs, as files that travel behind a pickled value."""

import os
from collections.abc import Iterable, Iterator, Sequence

from flyte_nb.worker.imports import imported_by


def files_of(tops: "Iterable[str]", folders: "Sequence[str]") -> "dict[str, bytes]":
    """Return the files, by path, of the modules of `tops` that are in `folders`, and of what they import.

    Args:
        tops: top-level names; those in none of the folders are ignored.
        folders: the folders of the task's local modules.
    """
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    waiting = sorted(tops)
    while waiting:
        # Modules import each other, also in a circle: `seen` ends it.
        top = waiting.pop()
        home = next((folder for folder in folders if _is_in(top, folder)), None)
        if top in seen or home is None:
            continue
        seen.add(top)
        files = dict(_module_files(top, home))
        sources = [data for name, data in files.items() if name.endswith(".py")]
        if f"{top}.py" in files and b"__file__" in files[f"{top}.py"]:
            # A module that uses its own path may read files beside it.
            files.update(_data_files(home))
        for source in sources:
            waiting.extend(imported_by(source))
        found.update(files)
    return found


def _is_in(top: str, folder: str) -> bool:
    path = os.path.join(folder, top)
    return os.path.isdir(path) or os.path.isfile(f"{path}.py")


def _module_files(top: str, folder: str) -> "Iterator[tuple[str, bytes]]":
    path = os.path.join(folder, top)
    if os.path.isdir(path):
        yield from _files_below(path, folder)
    else:
        yield f"{top}.py", _read(f"{path}.py")


def _data_files(folder: str) -> "Iterator[tuple[str, bytes]]":
    """Yield everything in the folder that is not a module: other files, and folders without Python files."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            files = dict(_files_below(path, folder))
            if not any(each.endswith(".py") for each in files):
                yield from files.items()
        elif not name.endswith(".py"):
            yield name, _read(path)


def _files_below(path: str, folder: str) -> "Iterator[tuple[str, bytes]]":
    for parent, below, names in os.walk(path):
        # `os.walk` goes only into the folders that are left in the list.
        below[:] = sorted(name for name in below if name != "__pycache__")
        for name in sorted(names):
            file = os.path.join(parent, name)
            yield os.path.relpath(file, folder).replace(os.sep, "/"), _read(file)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
