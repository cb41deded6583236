"""Fetch a staged bundle: nothing leaves this module that is not what the index says.

Part of the lean runtime: standard library only, and no pool of threads for files of this machine.
"""

import hashlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, ChecksumMismatch, StorageError
from flyte_nb.api.index import Index, IndexEntry
from flyte_nb.api.ports import BlobStore
from flyte_nb.api.version import PROTOCOL

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2
_PARALLEL = 16
_MAX_INDEX_BYTES = 16 << 20
_CHUNK = 1 << 20

Sleep = Callable[[float], None]

_T = TypeVar("_T")


class Fetched(NamedTuple):
    """Verified local copies of what one task needs."""

    ring: str
    payload: str
    buffers: "tuple[str, ...]"
    modules: "tuple[str, ...]"
    python: str
    """`major.minor` of the Python that wrote the payload."""


def fetch(
    index_uri: str,
    task_name: str,
    store: BlobStore,
    folder: str,
    *,
    on_ring: "Callable[[str], None] | None" = None,
    sleep: Sleep = time.sleep,
) -> Fetched:
    """Copy what `task_name` needs into `folder`, verified.

    Args:
        index_uri: where the index lies; its name pins its digest.
        task_name: the task's registered name.
        store: where members are read from.
        folder: an existing local folder, of this attempt alone.
        on_ring: called with the ring's path as soon as it is verified, before the rest is fetched.
        sleep: waits between attempts at a transient fault.

    Raises:
        ChecksumMismatch: when a member is not what the index says, also when it was read again.
        BundleError: when the index is damaged, of another protocol, or lacks the task.
        StorageError: when a member cannot be read.
    """
    index = read_index(index_uri, store, sleep=sleep)
    task = index.tasks.get(task_name)
    if task is None:
        known = ", ".join(sorted(index.tasks)) or "none"
        raise BundleError(
            f"The bundle {index_uri} has no task {task_name!r}; it has: {known}.",
            code="SYSTEM:BundleTaskMissing",
            hint="Register again; the template and the bundle do not belong together.",
        )
    ring = _ring(index)
    wanted = [ring, *(index.entry(n) for n in (task.payload, *task.buffers, *task.modules))]
    paths = _Paths(folder)
    ring_path = _member(ring, store, paths, sleep)
    if on_ring is not None:
        on_ring(ring_path)
    rest = wanted[1:]
    local = all(_is_local(entry.uri) for entry in rest)
    if local or len(rest) == 1:  # threads would cost more than they save
        found = [_member(entry, store, paths, sleep) for entry in rest]
    else:
        found = _side_by_side(rest, store, paths, sleep)
    buffers_end = 1 + len(task.buffers)
    return Fetched(
        ring_path, found[0], tuple(found[1:buffers_end]), tuple(found[buffers_end:]), index.python
    )


def read_index(index_uri: str, store: BlobStore, *, sleep: Sleep = time.sleep) -> Index:
    """The index at `index_uri`, verified against the digest in its name.

    Raises:
        ChecksumMismatch: when it has another digest, also when it was read again.
        BundleError: when its name pins no digest, or it cannot be read by this release.
    """
    pinned = index_of.digest_in_name(index_uri)
    if not pinned:
        raise BundleError(
            f"The index location {index_uri!r} pins no digest.",
            code="SYSTEM:BundleIndexUnpinned",
            hint="Its name is index-<sha256>.json; register again.",
        )
    data = _with_retries(lambda: _small(store, index_uri), sleep)
    if index_of.digest(data) != pinned:
        data = _with_retries(lambda: _small(store, index_uri), sleep)
        actual = index_of.digest(data)
        if actual != pinned:
            raise ChecksumMismatch("index", expected=pinned, actual=actual, uri=index_uri)
    index = index_of.loads(data)
    if index.protocol != PROTOCOL:
        raise BundleError(
            f"The bundle speaks protocol {index.protocol}, this release speaks {PROTOCOL}.",
            code="SYSTEM:BundleProtocol",
            hint="Use an image with a flyte-nb that speaks it, or register again with this release.",
        )
    return index


class _Paths:
    """Local names for members; what an index calls them never becomes a path."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def of(self, entry: IndexEntry) -> str:
        suffix = ".zip" if entry.kind in (index_of.RING, index_of.MODULE) else ""
        return os.path.join(self._folder, f"{entry.kind}-{entry.sha256[:32]}{suffix}")


def _ring(index: Index) -> IndexEntry:
    for entry in index.entries:
        if entry.kind == index_of.RING:
            return entry
    raise BundleError(
        "The bundle has no ring, so its task cannot be loaded.",
        code="SYSTEM:BundleMemberMissing",
        hint="Register again to stage the bundle anew.",
    )


def _member(entry: IndexEntry, store: BlobStore, paths: _Paths, sleep: Sleep) -> str:
    path = paths.of(entry)
    actual = _copy(entry, store, path, sleep)
    if actual != entry.sha256:
        actual = _copy(entry, store, path, sleep)  # once more: a cache or a line may have failed
        if actual != entry.sha256:
            raise ChecksumMismatch(entry.name, expected=entry.sha256, actual=actual, uri=entry.uri)
    return path


def _copy(entry: IndexEntry, store: BlobStore, path: str, sleep: Sleep) -> str:
    """Bring one member to `path`; the sha256 of the bytes that lie there now."""
    size = _with_retries(lambda: store.size(entry.uri), sleep)
    if size is None:
        raise BundleError(
            f"The bundle member {entry.name!r} is missing at {entry.uri}.",
            code="SYSTEM:BundleMemberMissing",
            hint="Register again to stage it anew; was the staging area cleaned up?",
        )
    if size != entry.size:  # before it is read: 10 GB that claim to be 1 kB are not fetched
        return f"<{size} bytes in place of {entry.size}>"
    if size <= _CHUNK:
        data = _with_retries(lambda: store.read(entry.uri), sleep)
        with open(path, "wb", buffering=0) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()
    _with_retries(lambda: store.get(entry.uri, path), sleep)
    return _digest_of_file(path)


def _digest_of_file(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _side_by_side(
    entries: "list[IndexEntry]", store: BlobStore, paths: _Paths, sleep: Sleep
) -> "list[str]":
    # 40 ms to import, for members that come over a network only.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="flyte-nb-fetch") as pool:
        return list(pool.map(lambda entry: _member(entry, store, paths, sleep), entries))


def _small(store: BlobStore, uri: str) -> bytes:
    size = store.size(uri)
    if size is None:
        raise BundleError(
            f"The bundle's index is missing at {uri}.",
            code="SYSTEM:BundleIndexMissing",
            hint="Register again to stage it anew; was the staging area cleaned up?",
        )
    if size > _MAX_INDEX_BYTES:
        raise BundleError(
            f"The bundle's index at {uri} has {size} bytes, which no index has.",
            code="SYSTEM:BundleIndexDamaged",
            hint="Register again to stage the bundle anew.",
        )
    return store.read(uri)


def _with_retries(act: "Callable[[], _T]", sleep: Sleep) -> _T:
    for attempt in range(_ATTEMPTS - 1):
        try:
            return act()
        except StorageError as error:
            if not error.transient:
                raise
        sleep(_FIRST_PAUSE_S * 2**attempt)
    return act()


def _is_local(uri: str) -> bool:
    return uri.startswith(("file://", "/"))
