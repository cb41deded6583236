"""Unpack the modules of a fetched bundle into a folder of real files.

So code that asks for `__file__` finds its data there, and programs that a task starts can import the
modules. The files are read-only, because the attempts of a warm host share them.

The zips have the right digests and still count as hostile, because a stranger may have registered the task.
A name in a zip never leads out of the folder.

Part of the lean runtime: standard library only, and not `zipfile`, which takes 15 ms to import.
Source of the format: PKWARE APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.fetch import Fetched
from flyte_nb.worker.failures import not_written

FOLDER = "modules"
"""The folder's name. Tracebacks leave it out of file names (`worker/failures.py`)."""

_END = struct.Struct("<4sHHHHIIH")
_LISTED = struct.Struct("<4s6xH4xIIIHHH8xI")
_LOCAL_BYTES = 30
_STORED = 0
_DEEPEST = 100  # levels of folders; no package has so many
_SHOWN = 100  # characters of a bad name that a message shows


def unpacked(fetched: Fetched, folder: str) -> Fetched:
    """Unpack the modules below `folder`, remove their zips, and return `fetched` with the folders.

    All modules come into one folder. When two zips have different files of one name, the second gets a
    folder of its own.

    Raises:
        BundleError: when a zip is damaged or has a name that leads out of the folder, or a file cannot be
            written.
    """
    if not fetched.modules:
        return fetched
    target = _Target(folder)
    # In the order of the index, so that equal bundles are unpacked into equal folders.
    for path in fetched.modules:
        target.take(path)
    return fetched._replace(modules=target.close())


class _Entry(NamedTuple):
    """One file or folder of a zip."""

    name: str
    checksum: int
    data: memoryview


class _Target:
    """The folders that the files are written to."""

    def __init__(self, below: str) -> None:
        self._below = below
        self._paths: list[str] = []
        self._names: dict[str, tuple[int, int]] = {}
        """Checksum and size of the files of the present folder."""
        self._folders: set[str] = set()
        self._open_next()

    def take(self, path: str) -> None:
        """Unpack one zip."""
        with open(path, "rb", buffering=0) as file:
            entries = list(_entries(file.readall(), path))
        # Decided for a whole zip, so that a package never has some of its files in another folder.
        if any(self._differs(entry) for entry in entries):
            self._open_next()
        try:
            for entry in entries:
                self._write(entry)
        except OSError as error:
            raise not_written("A module of the bundle", self._paths[-1], error) from error
        # The folder is the attempt's own. Keeping both would double what a large package takes on the disk.
        os.unlink(path)

    def close(self) -> "tuple[str, ...]":
        """Make the folders read-only, and return the paths of those that are to be imported from."""
        for folder in self._folders:
            os.chmod(folder, 0o555)
        return tuple(self._paths)

    def _open_next(self) -> None:
        number = len(self._paths) + 1
        path = os.path.join(self._below, FOLDER if number == 1 else f"{FOLDER}-{number}")
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            raise not_written("A module of the bundle", path, error) from error
        self._paths.append(path)
        self._folders.add(path)
        self._names = {}

    def _differs(self, entry: _Entry) -> bool:
        known = self._names.get(entry.name)
        return known is not None and known != (entry.checksum, len(entry.data))

    def _write(self, entry: _Entry) -> None:
        # `take` has seen that it has the same bytes.
        if entry.name in self._names:
            return
        self._names[entry.name] = entry.checksum, len(entry.data)
        path = os.path.join(self._paths[-1], entry.name)
        if entry.name.endswith("/"):
            self._make(path[:-1])
            return
        self._make(os.path.dirname(path))
        # O_EXCL also refuses to write through a link, should anything have put one there.
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            data = entry.data
            # A write may take fewer bytes than it was given, e.g. on a disk that is nearly full.
            while data:
                data = data[os.write(opened, data) :]
        finally:
            os.close(opened)

    def _make(self, folder: str) -> None:
        missing = []
        while folder not in self._folders:
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            os.mkdir(path, 0o700)
            self._folders.add(path)


def _entries(data: bytes, path: str) -> "Iterator[_Entry]":
    """Yield the files of a zip that `bundle/zips.py` wrote: nothing is compressed and there is no comment.

    Raises:
        BundleError: when the zip is anything else.
    """
    # Slices of it copy nothing, and a package may have tens of megabytes.
    view = memoryview(data)
    try:
        magic, *_, count, size, at, _ = _END.unpack_from(data, len(data) - _END.size)
        if magic != b"PK\5\6" or at + size + _END.size != len(data):
            raise ValueError("it has no directory at its end")
        for _ in range(count):
            magic, method, checksum, packed, length, *lengths, offset = _LISTED.unpack_from(
                data, at
            )
            if magic != b"PK\1\2" or method != _STORED or packed != length:
                raise ValueError("its directory is damaged")
            begin = at + _LISTED.size
            name = data[begin : begin + lengths[0]].decode()
            yield _Entry(_checked(name), checksum, _content(view, offset, length))
            at = begin + sum(lengths)
    except (ValueError, struct.error) as error:
        raise BundleError(
            f"The modules in {os.path.basename(path)} cannot be unpacked: {error}.",
            code="SYSTEM:BundleModulesDamaged",
            hint="Register again to stage the bundle anew.",
        ) from error


def _content(view: memoryview, offset: int, length: int) -> memoryview:
    name_length, extra_length = struct.unpack_from("<HH", view, offset + _LOCAL_BYTES - 4)
    # The lengths of a file's own header count: those of the directory may differ.
    begin = offset + _LOCAL_BYTES + name_length + extra_length
    if begin + length > len(view):
        raise ValueError("a file in it is cut short")
    return view[begin : begin + length]


def _checked(name: str) -> str:
    """Return the name of a file in a zip when it stays below the folder that it is unpacked to.

    Raises:
        ValueError: when it leads elsewhere or is nested too deeply.
    """
    parts = name.removesuffix("/").split("/")
    is_bad = any(part in ("", ".", "..") for part in parts) or "\0" in name
    if is_bad or len(parts) > _DEEPEST:
        raise ValueError(f"it has a file with the name {name[:_SHOWN]!r}")
    return name
