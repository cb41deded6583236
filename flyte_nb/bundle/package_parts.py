"""A large package travels in parts, each a zip of its own, so that a changed line uploads one of them.

Files are dealt out by their names, so that an edit, a new file or a deleted one touches a single part,
and equal trees give equal parts on every machine. Data files have parts of their own: they change less
often than code. The worker makes one zip of the parts again (`worker/parts.py`), so a package works as if
it had travelled whole.

Not more parts, and no smaller ones: every one of them is in the index of every task that needs the
package, and costs every attempt a request, which from S3 takes 6 ms of processor time, as long as 64 kB
take to travel.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from flyte_nb.bundle.zips import ZipEntry, zip_entries, zip_of

WHOLE_BYTES = 256 << 10
"""A package of at most this size is one zip."""


class Zip(NamedTuple):
    """One zip and its digest."""

    data: bytes
    sha256: str


class Zipped(NamedTuple):
    """A module's files as they travel."""

    sha256: str
    """Of the one zip that has all files; it says whether they changed, however they travel."""
    parts: "tuple[Zip, ...]"


class _Deal(NamedTuple):
    """Into how many parts files of one sort are dealt out: a power of two."""

    aimed_bytes: int
    most: int

    def count(self, entries: "Sequence[ZipEntry]") -> int:
        size = sum(len(entry.data) for entry in entries)
        count = 1
        while count < self.most and size > count * self.aimed_bytes:
            count *= 2  # halves every part: none of them gets files that it did not have
        return count


_CODE = _Deal(64 << 10, 16)
_DATA = _Deal(256 << 10, 4)


def zipped(files: "Mapping[str, bytes]") -> Zipped:
    """The files of one module or package, by path, in as many zips as their size asks for.

    Raises:
        BundleError: when there are more than 65,535 files or 4 GB.
    """
    entries = zip_entries(files)
    whole = _zip(entries)
    if len(whole.data) <= WHOLE_BYTES:
        return Zipped(whole.sha256, (whole,))
    groups = [*_dealt(entries, _CODE), *_dealt(entries, _DATA)]
    parts = (whole,) if len(groups) == 1 else tuple(map(_zip, groups))
    return Zipped(whole.sha256, parts)


def _dealt(entries: "Sequence[ZipEntry]", deal: _Deal) -> "list[list[ZipEntry]]":
    """The entries of one sort, by the part that their names put them into."""
    chosen = [entry for entry in entries if entry.name.endswith((".py", "/")) is (deal is _CODE)]
    parts: list[list[ZipEntry]] = [[] for _ in range(deal.count(chosen))]
    for entry in chosen:
        parts[crc32(entry.name.encode()) % len(parts)].append(entry)
    return [part for part in parts if part]


def _zip(entries: "Sequence[ZipEntry]") -> Zip:
    data = zip_of(entries)
    return Zip(data, hashlib.sha256(data).hexdigest())
