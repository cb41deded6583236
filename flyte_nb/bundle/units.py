"""Read one local module or package: zip its files, and find what they import.

The last result for a module is used again while no file was added, removed or changed. Files that changed a
moment ago are always read again, because a further change might leave no trace (`trees.SETTLED_NS`).
"""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.beside import Beside
from flyte_nb.bundle.calls import READERS, unpickles_in
from flyte_nb.bundle.package_parts import Zip, zipped
from flyte_nb.bundle.secret_signs import secrets_in
from flyte_nb.bundle.trees import Tree, joined, listed_tree, walk
from flyte_nb.worker.imports import imported_by

DATA_BYTES = 1 << 20
"""A larger file that is not Python does not travel with its package."""

_BINARY = (".so", ".pyd", ".dylib")


class Unit(NamedTuple):
    """One local module or package as it travels."""

    name: str
    """Its top-level name."""
    sha256: str
    """Digest of the zip with all its files."""
    parts: "tuple[Zip, ...]"
    """The zips that travel: that one, or for a large package several that contain it together."""
    imports: "tuple[str, ...]"
    """Top-level names that its files import."""
    left_out: "tuple[str, ...]"
    """Files and folders that are too large to travel."""
    binaries: "tuple[str, ...]" = ()
    """Compiled files, which do not travel either."""
    secrets: "tuple[tuple[str, tuple[str, ...]], ...]" = ()
    """Files that seem to contain secrets, each with the kinds of secrets."""
    place: str = ""
    """Path of its file or folder."""
    unpickles: bool = False
    """Whether its files read pickles, which may need modules that the files do not name."""

    @property
    def size_bytes(self) -> int:
        """Return how many bytes travel."""
        return sum(len(part.data) for part in self.parts)


def read_unit(top: str, place: Path, *, clock: "Callable[[], int]" = time.time_ns) -> Unit:
    """Return the unit of the top-level module `top` as it is on disk now.

    Args:
        top: the module's name.
        place: the module's file or folder.
        clock: returns the present, in nanoseconds since 1970.

    Raises:
        BundleError: when a file cannot be read, or there are too many files.
    """
    # One registration reads hundreds of tasks that share a module. What did not change since is not read
    # again.
    kept = _kept(top, place)
    last = kept.read
    if last is not None and last[0].is_unchanged():
        return last[1]
    try:
        # The tree is looked at before the files are read, so that a change in between is noticed next time.
        tree = walk(top, str(place))
        unit, tree = _read(top, place, tree)
        is_settled = tree.is_settled(clock())
    except OSError as error:
        raise BundleError(
            f"The local module {top!r} cannot be read: {error}.",
            hint="It would travel with the task. Check the file and its permissions.",
        ) from error
    # A tree that is not settled cannot tell later whether it changed, so its unit is not kept.
    kept.read = (tree, unit) if is_settled else None
    return unit


class _Kept:
    """The last unit that was read at a place, with the tree that tells whether it changed."""

    read: "tuple[Tree, Unit] | None" = None


@functools.lru_cache(maxsize=64)
def _kept(top: str, place: Path) -> _Kept:
    return _Kept()


def _read(top: str, place: Path, tree: Tree) -> "tuple[Unit, Tree]":
    """Return the unit, and its tree joined with the files beside the module that its source names."""
    reading = _FileReader()
    beside = Beside(str(place.parent))
    for name, path, size in tree.files:
        source = reading.take(name, path, size)
        if source is not None and b"__file__" in source:
            stem = os.path.basename(name).removesuffix(".py")
            beside.look(source, stem, in_package="/" in name)
    # A file that is inside of the package already must not travel twice.
    own = {file.name for file in tree.files}
    more = [file for name, file in sorted(beside.files.items()) if name not in own]
    for name, path, size in more:
        reading.take(name, path, size)
    if more:
        tree = joined(tree, [listed_tree(str(place.parent), more), *beside.trees])
    members = reading.members
    # They belong to the zip's digest too, because an import depends on them.
    members.update(_namespaces(members))
    whole = zipped(members)
    unit = Unit(
        name=top,
        sha256=whole.sha256,
        parts=whole.parts,
        imports=tuple(sorted(reading.imports - {top})),
        left_out=tuple(sorted([*reading.left_out, *beside.left_out])),
        binaries=tuple(sorted(reading.binaries)),
        secrets=tuple(sorted(reading.secrets)),
        place=str(place),
        unpickles=reading.unpickles,
    )
    return unit, tree


class _FileReader:
    """Reads the files of a module, and collects what is found in them."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self.left_out: list[str] = []
        self.binaries: list[str] = []
        self.secrets: list[tuple[str, tuple[str, ...]]] = []
        self.imports: set[str] = set()
        self.unpickles = False

    def take(self, name: str, path: str, size: int) -> "bytes | None":
        """Read one file unless it stays behind. Return its source when it is a Python file."""
        if name.endswith(_BINARY):
            self.binaries.append(name)
            return None
        is_python = name.endswith(".py")
        # Data beside the code is often a whole dataset. The author is warned, and can pass it as an input.
        if not is_python and size > DATA_BYTES:
            self.left_out.append(name)
            return None
        with open(path, "rb", buffering=0) as file:
            data = self.members[name] = file.readall()
        # Looked for in every file that travels, because a `.env` or a notebook beside the code travels as
        # well.
        kinds = secrets_in(data)
        if kinds:
            self.secrets.append((name, kinds))
        if not is_python:
            return None
        imports = imported_by(data)
        if imports:
            self.imports |= imports
            # The search in the source is only worth its time when a module that reads pickles is imported at
            # all.
            if not (self.unpickles or READERS.isdisjoint(imports)):
                self.unpickles = unpickles_in(data)
        return data


def _namespaces(members: "dict[str, bytes]") -> "dict[str, bytes]":
    """Return entries for folders without `__init__.py`.

    zipimport finds a namespace package only when the zip lists its folder.
    """
    folders = {name[: at + 1] for name in members for at in _slashes(name)}
    return {folder: b"" for folder in folders if f"{folder}__init__.py" not in members}


def _slashes(name: str) -> "list[int]":
    return [at for at, letter in enumerate(name) if letter == "/"]
