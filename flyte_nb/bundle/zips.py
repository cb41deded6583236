"""Write zips whose bytes follow from their files alone: sorted, without dates, and not compressed.

Nothing is compressed, because a worker imports from the zip without zlib, and because zlib's output differs
from version to version. `zipfile` is not used, because it takes 100 ms for a package of a thousand files;
this code takes 10 ms.

Source: PKWARE APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

from flyte_nb.api.errors import BundleError

_VERSION = 20
_UTF8_NAMES = 0x800
_MADE_ON_UNIX = 3 << 8 | _VERSION
_MODE = 0o100644 << 16
_TIME, _DATE = 0, (0 << 9) | (1 << 5) | 1  # 1980-01-01T00:00:00, the format's first moment

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHI")  # the file's offset and its name follow
_END = struct.Struct("<4sHHHHIIH")

_MAX_FILES = 0xFFFF
_MAX_BYTES = 0xFFFFFFFF


class ZipEntry(NamedTuple):
    """One file of a zip, without anything that depends on its position.

    So one entry serves the zip of a whole package and the zip of a part, and is computed once.
    """

    name: str
    header: bytes
    """The bytes before its data."""
    data: bytes
    listed: bytes
    """The beginning of its entry in the zip's directory, up to the offset."""


def deterministic_zip(members: "Mapping[str, bytes]") -> bytes:
    """Return a zip of files that are given by their paths inside of the zip.

    Raises:
        BundleError: when there are more than 65,535 files, or more than 2 GB.
    """
    return zip_of(zip_entries(members))


def zip_entries(members: "Mapping[str, bytes]") -> "list[ZipEntry]":
    """Return the files as entries of a zip, sorted by name.

    Raises:
        BundleError: when there are more than 65,535 files, or more than 2 GB.
    """
    # Beyond these the format needs its 64-bit form, which the worker's reader does not have. Half of the
    # bytes leaves room for the headers.
    if len(members) > _MAX_FILES or sum(map(len, members.values())) > _MAX_BYTES // 2:
        raise BundleError(
            f"{len(members)} files are too many or too large to travel as one module: at most"
            f" {_MAX_FILES:,} files with 2 GB together can.",
            hint="Keep data out of the package, or install the package where the task runs.",
        )
    entries = []
    # Sorted, because the order in which a disk lists files differs from machine to machine.
    for name in sorted(members):
        data, path = members[name], name.encode()
        size, checksum = len(data), crc32(data)
        common = (_UTF8_NAMES, 0, _TIME, _DATE, checksum, size, size, len(path), 0)
        header = _LOCAL.pack(b"PK\3\4", _VERSION, *common) + path
        listed = _CENTRAL.pack(b"PK\1\2", _MADE_ON_UNIX, _VERSION, *common, 0, 0, 0, _MODE)
        entries.append(ZipEntry(name, header, data, listed))
    return entries


def zip_of(entries: "Iterable[ZipEntry]") -> bytes:
    """Return the zip with these entries, in their order."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    count = at = 0
    for name, header, data, listed in entries:
        parts += (header, data)
        directory += (listed, at.to_bytes(4, "little"), name.encode())
        at += len(header) + len(data)
        count += 1
    listing = b"".join(directory)
    end = _END.pack(b"PK\5\6", 0, 0, count, count, len(listing), at, 0)
    return b"".join([*parts, listing, end])
