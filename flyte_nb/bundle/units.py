"""One local module or package, zipped as it lies on disk; and what its files import.

What was read before is used again when no file came, went or has another stamp, and none was touched
so lately that its stamp could not tell.
"""

import functools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.package_parts import Zip, zipped
from flyte_nb.bundle.secrets import secrets_in
from flyte_nb.bundle.trees import File, Tree, walk

DATA_BYTES = 1 << 20
"""A larger file that is not Python does not travel with its package."""

_BINARY = (".so", ".pyd", ".dylib")
_IMPORTS = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+([^\n#;]+))"
)


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
        is_settled = tree.is_settled(clock())
        unit = _read(top, place, tree.files)
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


def _read(top: str, place: Path, files: "tuple[File, ...]") -> Unit:
    members: dict[str, bytes] = {}
    left_out, binaries, secrets = [], [], []
    imports: set[str] = set()
    for name, path, size in files:
        if name.endswith(_BINARY):
            binaries.append(name)
            continue
        is_python = name.endswith(".py")
        if not is_python and size > DATA_BYTES:
            left_out.append(name)
            continue
        with open(path, "rb", buffering=0) as file:
            data = members[name] = file.readall()
        if is_python:
            imports |= imported_by(data)
        kinds = secrets_in(data)
        if kinds:
            secrets.append((name, kinds))
    members.update(_namespaces(members))
    return Unit(
        top,
        *zipped(members),
        tuple(sorted(imports - {top})),
        tuple(sorted(left_out)),
        tuple(sorted(binaries)),
        tuple(sorted(secrets)),
        str(place),
    )


def _namespaces(members: "dict[str, bytes]") -> "dict[str, bytes]":
    """Entries for folders without `__init__.py`: zipimport finds no namespace package without."""
    folders = {name[: at + 1] for name in members for at in _slashes(name)}
    return {folder: b"" for folder in folders if f"{folder}__init__.py" not in members}


def _slashes(name: str) -> "list[int]":
    return [at for at, letter in enumerate(name) if letter == "/"]


def imported_by(source: bytes) -> "set[str]":
    """Top-level names that the source imports.

    By pattern, for parsing costs a second for a thousand files, and line by line around the word, for
    searching every line costs 80 ms. It also finds what stands in a docstring; at worst a module
    beside the notebook travels that nobody needs.
    """
    names: set[str] = set()
    at = source.find(b"import")
    if at < 0:
        return names
    if b"\\\n" in source:
        source = source.replace(b"\\\n", b" ")
        at = source.find(b"import")
    while at >= 0:
        start = source.rfind(b"\n", 0, at) + 1
        end = source.find(b"\n", at)
        line = source[start:] if end < 0 else source[start:end]
        for from_name, listed in _IMPORTS.findall(line):
            names |= _tops(from_name, listed)
        at = source.find(b"import", end) if end >= 0 else -1
    return names


def _tops(from_name: bytes, listed: bytes) -> "set[str]":
    if from_name:
        return {from_name.decode("utf-8", "replace")}
    items = [item.split()[0].partition(b".")[0] for item in listed.split(b",") if item.strip()]
    return {item.decode("utf-8", "replace") for item in items}
