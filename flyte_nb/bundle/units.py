"""One local module or package, zipped as it lies on disk; and what its files import.

What was read before is used again when no file came, went or has another stamp, and none was touched
so lately that its stamp could not tell.
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
    """One shipped module or package."""

    name: str
    sha256: str
    """Of the zip that all its files make."""
    parts: "tuple[Zip, ...]"
    """What travels: that zip, or of a large package the parts that make it."""
    imports: "tuple[str, ...]"
    """Top-level names that its files import."""
    left_out: "tuple[str, ...]"
    """Files of the package that are too large to travel."""
    binaries: "tuple[str, ...]" = ()
    """Compiled parts of the package, which do not travel either."""
    secrets: "tuple[tuple[str, tuple[str, ...]], ...]" = ()
    """Files that seem to hold secrets, with the kinds of those."""
    place: str = ""
    """Where it lies."""
    unpickles: bool = False
    """Whether its files read pickles, which may need modules that they do not name."""

    @property
    def size_bytes(self) -> int:
        """Bytes that travel."""
        return sum(len(part.data) for part in self.parts)


def read_unit(top: str, place: Path, *, clock: "Callable[[], int]" = time.time_ns) -> Unit:
    """The unit of the top-level module `top` at `place`, a file or a folder, as it is on disk now.

    `clock` tells nanoseconds since the epoch.

    Raises:
        BundleError: when a file cannot be read.
    """
    kept = _kept(top, place)
    last = kept.read
    if last is not None and last[0].is_as_it_was():
        return last[1]
    try:
        tree = walk(top, str(place))
        unit, tree = _read(top, place, tree)
        is_settled = tree.is_settled(clock())
    except OSError as error:
        raise BundleError(
            f"The local module {top!r} cannot be read: {error}.",
            hint="It would travel with the task; check the file and its permissions.",
        ) from error
    kept.read = (tree, unit) if is_settled else None
    return unit


class _Kept:
    """What was last read at a place, while it can tell whether that changed."""

    read: "tuple[Tree, Unit] | None" = None


@functools.lru_cache(maxsize=64)
def _kept(top: str, place: Path) -> _Kept:
    return _Kept()


def _read(top: str, place: Path, tree: Tree) -> "tuple[Unit, Tree]":
    """The unit, and its tree with the files beside it that it names."""
    reading = _Reading()
    beside = Beside(str(place.parent))
    for name, path, size in tree.files:
        source = reading.take(name, path, size)
        if source is not None and b"__file__" in source:
            stem = os.path.basename(name).removesuffix(".py")
            beside.look(source, stem, in_package="/" in name)
    own = {file.name for file in tree.files}
    more = [file for name, file in sorted(beside.files.items()) if name not in own]
    for name, path, size in more:
        reading.take(name, path, size)
    if more:
        tree = joined(tree, [listed_tree(str(place.parent), more), *beside.trees])
    members = reading.members
    members.update(_namespaces(members))
    unit = Unit(
        top,
        *zipped(members),
        tuple(sorted(reading.imports - {top})),
        tuple(sorted([*reading.left_out, *beside.left_out])),
        tuple(sorted(reading.binaries)),
        tuple(sorted(reading.secrets)),
        str(place),
        unpickles=reading.unpickles,
    )
    return unit, tree


class _Reading:
    """Files as they are read, and what they say."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self.left_out: list[str] = []
        self.binaries: list[str] = []
        self.secrets: list[tuple[str, tuple[str, ...]]] = []
        self.imports: set[str] = set()
        self.unpickles = False

    def take(self, name: str, path: str, size: int) -> "bytes | None":
        """Read one file that travels; its source when it is Python."""
        if name.endswith(_BINARY):
            self.binaries.append(name)
            return None
        is_python = name.endswith(".py")
        if not is_python and size > DATA_BYTES:
            self.left_out.append(name)
            return None
        with open(path, "rb", buffering=0) as file:
            data = self.members[name] = file.readall()
        kinds = secrets_in(data)
        if kinds:
            self.secrets.append((name, kinds))
        if not is_python:
            return None
        imports = imported_by(data)
        if imports:
            self.imports |= imports
            if not (self.unpickles or READERS.isdisjoint(imports)):
                self.unpickles = unpickles_in(data)
        return data


def _namespaces(members: "dict[str, bytes]") -> "dict[str, bytes]":
    """Entries for folders without `__init__.py`: zipimport finds no namespace package without."""
    folders = {name[: at + 1] for name in members for at in _slashes(name)}
    return {folder: b"" for folder in folders if f"{folder}__init__.py" not in members}


def _slashes(name: str) -> "list[int]":
    return [at for at, letter in enumerate(name) if letter == "/"]
