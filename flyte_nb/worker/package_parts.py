"""Unite the zips of a large package, which travels as several members of a bundle.

Python needs one archive for a package, so that its `__path__`, its data files, `pkgutil` and tracebacks work
as if it had travelled whole. Zips whose first files are in the same top-level folder are parts of one
package. The parts are joined as bytes, without unpacking: file data first, then one directory whose offsets
are moved. Source: PKWARE APPNOTE 6.3.3, sections 4.3.12 and 4.3.16.
"""

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

from flyte_nb.worker.failures import not_written

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCAL_BYTES = 30  # of a local file header, before the name
_LISTED = struct.Struct("<28xHHH8xI")
"""A directory entry: the lengths of name, extra field and comment, and the offset of the file's data."""
_END = struct.Struct("<4sHHHHIIH")
"""The end record: signature, disks, counts of entries, size and offset of the directory, comment length."""


def united(zips: "Sequence[str]") -> "list[str]":
    """Return the paths to import from: each zip of a whole package, and a united zip for a package in parts.

    A united zip is written beside its parts.

    Raises:
        BundleError: when a united zip cannot be written.
    """
    packages: dict[str, list[str]] = {}
    for path in zips:
        packages.setdefault(_top(path) or path, []).append(path)
    return [parts[0] if len(parts) == 1 else _one(parts, name) for name, parts in packages.items()]


def _top(path: str) -> str:
    """Return the top-level folder of a zip's first file; empty when the file is in none."""
    with open(path, "rb", buffering=0) as file:
        header = file.read(_LOCAL_BYTES)
        if len(header) < _LOCAL_BYTES or header[:4] != b"PK\3\4":
            return ""
        name = file.read(int.from_bytes(header[26:28], "little"))
    folder, slash, _ = name.partition(b"/")
    return folder.decode() if slash else ""


def _one(parts: "Sequence[str]", name: str) -> str:
    path = os.path.join(os.path.dirname(parts[0]), f"{name}.zip")
    try:
        with open(path, "wb") as target:
            _write(target, parts)
    except OSError as error:
        raise not_written(f"The local package {name!r}", path, error) from error
    return path


def _write(target: "BinaryIO", parts: "Sequence[str]") -> None:
    """Write the files of all parts, then one directory of them, sorted by name as in each part."""
    listing: list[tuple[bytes, bytes]] = []
    begin = 0
    for part in parts:
        with open(part, "rb", buffering=0) as file:
            data = file.readall()
        *_, at, _ = _END.unpack_from(data, len(data) - _END.size)
        target.write(memoryview(data)[:at])
        listing += _listed(data, at, begin)
        begin += at
    size = 0
    for _, entry in sorted(listing):
        target.write(entry)
        size += len(entry)
    count = len(listing)
    target.write(_END.pack(b"PK\5\6", 0, 0, count, count, size, begin, 0))


def _listed(data: bytes, at: int, begin: int) -> "list[tuple[bytes, bytes]]":
    """Return names and entries of the directory at the offset `at`, for files that moved by `begin` bytes."""
    found = []
    head = _LISTED.size
    end = len(data) - _END.size
    while at < end:
        *lengths, offset = _LISTED.unpack_from(data, at)
        after = at + head + sum(lengths)
        name = data[at + head : at + head + lengths[0]]
        moved = (offset + begin).to_bytes(4, "little")
        found.append((name, data[at : at + head - 4] + moved + data[at + head : after]))
        at = after
    return found
