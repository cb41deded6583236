"""Local modules: files beside the notebook that its code imports, shipped as they lie on disk.

A unit is a top-level module file or a whole package folder. Which units belong together is read from
the import statements of their files, so that a change in one reaches those that import it and no
other.
"""

import ast
import functools
import hashlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.ring import deterministic_zip

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
_OURS = frozenset({"flyte_nb", "_flyte_nb_cloudpickle"})
_DATA_BYTES = 1 << 20
"""A larger file that is not Python does not travel with its package."""
_SETTLED_NS = 2_000_000_000
"""A file written within this time may be written again without its time changing."""
_IMPORTS = re.compile(rb"\bimport\b")


class Unit(NamedTuple):
    """One shipped module or package."""

    name: str
    data: bytes
    """The zip."""
    sha256: str
    imports: "tuple[str, ...]"
    """Top-level names that its files import."""
    left_out: "tuple[str, ...]"
    """Files of the package that are too large to travel."""


class Units:
    """The local modules below some folders, each read once in its life."""

    def __init__(self, roots: "Sequence[str | Path]") -> None:
        self._roots = [Path(root).resolve() for root in roots]
        self._units: dict[str, Unit | None] = {}

    def find(self, top: str) -> "Unit | None":
        """The unit of the top-level module `top`, or `None` when it is not a local one."""
        if top not in self._units:
            place = self._place(top)
            self._units[top] = None if place is None else read_unit(top, place)
        return self._units[top]

    def _place(self, top: str) -> "Path | None":
        if not self._roots or top in _OURS or top == "__main__":
            return None
        loaded = sys.modules.get(top)
        if loaded is not None:
            place = _home(loaded)
            return place if place is not None and self._is_local(place) else None
        if top in sys.stdlib_module_names:
            return None
        for root in self._roots:
            for candidate in (root / top, root / f"{top}.py"):
                if _is_module(candidate) and self._is_local(candidate.resolve()):
                    return candidate.resolve()
        return None

    def _is_local(self, place: Path) -> bool:
        for root in self._roots:
            if place.is_relative_to(root):
                return _INSTALLED.isdisjoint(place.relative_to(root).parts)
        return False


class LocalModules:
    """The local modules that one task refers to."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._noted: dict[str, Unit] = {}

    def note(self, top: str) -> bool:
        """Ship the top-level module `top`, and what it imports, if it is a local one."""
        if top in self._noted:
            return True
        unit = self._units.find(top)
        if unit is None:
            return False
        self._noted[top] = unit
        for name in unit.imports:
            self.note(name)
        return True

    def reached(self, top: str) -> "tuple[Unit, ...]":
        """The unit `top` and every local one that it imports, sorted by name."""
        seen: dict[str, Unit] = {}
        waiting = [top]
        while waiting:
            name = waiting.pop()
            unit = self._units.find(name)
            if unit is not None and name not in seen:
                seen[name] = unit
                waiting.extend(unit.imports)
        return tuple(seen[name] for name in sorted(seen))

    def noted(self) -> "tuple[Unit, ...]":
        """Everything noted, sorted by name."""
        return tuple(self._noted[name] for name in sorted(self._noted))


def _home(module: object) -> "Path | None":
    """The file of a loaded module, or the folder of a package."""
    paths = getattr(module, "__path__", None)
    if paths is not None:
        first = next(iter(paths), None)
        return Path(first).resolve() if first else None
    file = getattr(module, "__file__", None)
    if not file or not str(file).endswith(".py"):
        return None
    return Path(file).resolve()


def _is_module(place: Path) -> bool:
    if place.suffix == ".py":
        return place.is_file()
    return place.is_dir() and next(place.glob("*.py"), None) is not None


def read_unit(top: str, place: Path) -> Unit:
    """The unit at `place` as it lies on disk now.

    What was read before is used again when no file has another size, time or place, and none was
    written so lately that its time could not tell.

    Raises:
        BundleError: when a file cannot be read.
    """
    try:
        stamps = tuple(_stamp(path) for path in _files(place))
        if any(time.time_ns() - stamp.mtime_ns < _SETTLED_NS for stamp in stamps):
            return _read(top, place, stamps)
        return _read_settled(top, place, stamps)
    except OSError as error:
        raise BundleError(
            f"The local module {top!r} cannot be read: {error}.",
            hint="It would travel with the task; check the file and its permissions.",
        ) from error


class _Stamp(NamedTuple):
    path: Path
    size: int
    mtime_ns: int
    inode: int


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return _Stamp(path, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=64)
def _read_settled(top: str, place: Path, stamps: "tuple[_Stamp, ...]") -> Unit:
    return _read(top, place, stamps)


def _read(top: str, place: Path, stamps: "tuple[_Stamp, ...]") -> Unit:
    members: dict[str, bytes] = {}
    left_out = []
    imports: set[str] = set()
    for path, size, *_ in stamps:
        name = path.name if path == place else path.relative_to(place.parent).as_posix()
        if path.suffix != ".py" and size > _DATA_BYTES:
            left_out.append(name)
            continue
        members[name] = path.read_bytes()
        if path.suffix == ".py":
            imports.update(_imports(members[name]))
    data = deterministic_zip(members)
    digest = hashlib.sha256(data).hexdigest()
    return Unit(top, data, digest, tuple(sorted(imports - {top})), tuple(left_out))


def _files(place: Path) -> "Iterator[Path]":
    if place.is_file():
        yield place
        return
    for entry in sorted(place.iterdir()):
        if entry.name.startswith(".") or entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _files(entry)
        elif entry.suffix not in (".pyc", ".so", ".pyd"):
            yield entry


def _imports(source: bytes) -> "set[str]":
    if not _IMPORTS.search(source):
        return set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()  # importing it will say so, with the place
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names
