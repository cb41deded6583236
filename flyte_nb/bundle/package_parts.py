"""Split a large package into parts, each a zip of its own, so that a changed line uploads one part.

A file's name alone decides its part. So an edited, new or deleted file changes one part only, and equal
folders give equal parts on every machine. Data files have parts of their own, because they change less
often than code. The worker joins the parts to one zip again (`worker/package_parts.py`), so that a package
works as if it had travelled whole.

More and smaller parts would upload less, but they cost at every attempt: each part is in the index of every
task that needs the package, and each is a request. A request to S3 takes 6 ms of processor time, in which
64 kB could be transferred.
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
    """Digest of one zip with all files. It says whether a file changed, however the files are split."""
    parts: "tuple[Zip, ...]"


class _Split(NamedTuple):
    """How many parts the files of one sort are split into."""

    aimed_bytes: int
    most: int

    def count(self, entries: "Sequence[ZipEntry]") -> int:
        """Return the number of parts, a power of two."""
        size = sum(len(entry.data) for entry in entries)
        count = 1
        while count < self.most and size > count * self.aimed_bytes:
            count *= 2  # every part is halved, and no file moves between the others
        return count


_CODE = _Split(64 << 10, 16)
_DATA = _Split(256 << 10, 4)


def zipped(files: "Mapping[str, bytes]") -> Zipped:
    """Return the files of one module or package in one zip, or in several when they are large.

    Args:
        files: the files' bytes, by path.

    Raises:
        BundleError: when there are more than 65,535 files, or more than 2 GB.
    """
    entries = zip_entries(files)
    whole = _zip(entries)
    # Most modules are small, and one member is one request.
    if len(whole.data) <= WHOLE_BYTES:
        return Zipped(whole.sha256, (whole,))
    # Code is edited all day, and data seldom: an edit must not upload the data beside it again.
    groups = [*_split(entries, _CODE), *_split(entries, _DATA)]
    parts = (whole,) if len(groups) == 1 else tuple(map(_zip, groups))
    return Zipped(whole.sha256, parts)


def _split(entries: "Sequence[ZipEntry]", split: _Split) -> "list[list[ZipEntry]]":
    """Return the entries of one sort, grouped into parts by their names."""
    chosen = [entry for entry in entries if entry.name.endswith((".py", "/")) is (split is _CODE)]
    parts: list[list[ZipEntry]] = [[] for _ in range(split.count(chosen))]
    for entry in chosen:
        # By the name and not by the position, so that a new file moves no other one.
        parts[crc32(entry.name.encode()) % len(parts)].append(entry)
    return [part for part in parts if part]


def _zip(entries: "Sequence[ZipEntry]") -> Zip:
    data = zip_of(entries)
    return Zip(data, hashlib.sha256(data).hexdigest())
