"""Fetch a staged bundle: nothing leaves this module that is not what the index says.

Members are read in parts, never beyond the size that the index claims, and digested while they are
written. Part of the lean runtime: standard library only, and no threads for files of this machine.
"""

import hashlib
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, ChecksumMismatch, StorageError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.ports import BlobStore
from flyte_nb.api.version import PROTOCOL
from flyte_nb.bundle.retrying import Retrying, Sleep

_MAX_INDEX_BYTES = 16 << 20
_PART_BYTES = 4 << 20
"""What is asked for at once, and repeated after a fault; 16 of them may be in memory."""
_LOCAL_PART_BYTES = 1 << 20
"""The same from a disk, where a call costs next to nothing, and what fits a cache is digested faster."""


class Fetched(NamedTuple):
    """Verified local copies of what one task needs."""

    ring: str
    payload: str
    buffers: "tuple[str, ...]"
    modules: "tuple[str, ...]"
    python: str
    """`major.minor` of the Python that wrote the payload."""
    tasks: "dict[str, TaskEntry]" = {}  # noqa: RUF012 - never mutated
    """Everything that the index has, by name."""
    lock: str = ""
    """Of a task with locked requirements."""
    launch_plans: "tuple[Identifier, ...]" = ()
    """Of a dynamic task: as its index has them."""


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
    wanted = _wanted(index, task)
    paths = []
    for path in _bring(wanted, store, folder, Retrying(sleep)):
        paths.append(path)
        if len(paths) == 1 and on_ring is not None:
            on_ring(path)
    modules_at = 2 + len(task.buffers)
    lock_at = modules_at + len(task.modules)
    return Fetched(
        ring=paths[0],
        payload=paths[1],
        buffers=tuple(paths[2:modules_at]),
        modules=tuple(paths[modules_at:lock_at]),
        python=index.python,
        tasks=index.tasks,
        lock=paths[lock_at] if task.lock else "",
        launch_plans=index.launch_plans,
    )


class PartReader(Protocol):
    """The part of a `BlobStore` by which an index is read."""

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes of the object from `offset` on."""
        ...


def read_index(index_uri: str, store: PartReader, *, sleep: Sleep = time.sleep) -> Index:
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
    retrying = Retrying(sleep)
    data = retrying(partial(_small, store, index_uri))
    if index_of.digest(data) != pinned:
        data = retrying(partial(_small, store, index_uri))
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


def _wanted(index: Index, task: TaskEntry) -> "list[IndexEntry]":
    """The members that the task needs, in the order of `Fetched`; `BundleError` when one is missing."""
    named = [(index_of.TASK, task.payload)]
    named += [(index_of.BUFFER, name) for name in task.buffers]
    named += [(index_of.MODULE, name) for name in task.modules]
    if task.lock:
        named.append((index_of.LOCK, task.lock))
    by_name: dict[tuple[str, str], IndexEntry] = {}
    for entry in index.entries:
        by_name.setdefault((entry.kind, entry.name), entry)
    return [_ring(index), *(by_name.get(each) or index.entry(each[1], each[0]) for each in named)]


def _ring(index: Index) -> IndexEntry:
    for entry in index.entries:
        if entry.kind == index_of.RING:
            return entry
    raise BundleError(
        "The bundle has no ring, so its task cannot be loaded.",
        code="SYSTEM:BundleMemberMissing",
        hint="Register again to stage the bundle anew.",
    )


class _Part(NamedTuple):
    entry: IndexEntry
    offset: int
    length: int
    is_last: bool


class _Parts(Sequence[_Part]):
    """What to ask for, in order; made when it is asked for, for an index may claim any size.

    A member's last part asks for one byte more, to see that the member ends there.
    """

    def __init__(self, entries: "Iterable[IndexEntry]") -> None:
        self._entries = list(entries)
        self._ends: list[int] = []
        """By entry: how many parts there are up to its end."""
        count = 0
        for entry in self._entries:
            count += len(range(0, max(entry.size, 1), _part_bytes(entry)))
            self._ends.append(count)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        at = bisect_right(self._ends, number)
        entry, length = self._entries[at], _part_bytes(self._entries[at])
        offset = (number - (self._ends[at - 1] if at else 0)) * length
        if number + 1 < self._ends[at]:
            return _Part(entry, offset, length, False)
        return _Part(entry, offset, entry.size - offset + 1, True)


def _part_bytes(entry: IndexEntry) -> int:
    return _LOCAL_PART_BYTES if _is_local(entry.uri) else _PART_BYTES


def _bring(
    entries: "list[IndexEntry]", store: BlobStore, folder: str, retrying: Retrying
) -> "Iterator[str]":
    """Local paths of the members, each given when it is verified."""
    read = partial(_read, store, retrying)
    parts = _Parts(entries)
    blocks: Iterator[bytes]
    if len(parts) == 1 or all(_is_local(entry.uri) for entry in entries):
        blocks = map(read, parts)
    else:
        from flyte_nb.bundle.side_by_side import side_by_side

        blocks = side_by_side(read, parts)
    for entry in entries:
        path = _path(folder, entry)
        actual, left = _write(path, entry, blocks)
        if actual != entry.sha256:  # once more: a cache or a line may have failed
            actual, _ = _write(path, entry, map(read, _Parts([entry])))
            if actual != entry.sha256:
                raise ChecksumMismatch(
                    entry.name, expected=entry.sha256, actual=actual, uri=entry.uri
                )
            for _ in range(left):  # it has the size that the index claims, so these are not many
                next(blocks)
        yield path


def _path(folder: str, entry: IndexEntry) -> str:
    """A local name for a member; what an index calls it never becomes a path."""
    suffix = ".zip" if entry.kind in (index_of.RING, index_of.MODULE) else ""
    return os.path.join(folder, f"{entry.kind}-{entry.sha256[:32]}{suffix}")


def _read(store: BlobStore, retrying: Retrying, part: _Part) -> bytes:
    entry = part.entry
    try:
        return retrying(lambda: store.read_part(entry.uri, part.offset, part.length))
    except ValueError as error:  # of a place that no path can be
        raise BundleError(
            f"The bundle member {entry.name!r} cannot be read at {entry.uri!r}: {error}.",
            code="SYSTEM:BundleIndexDamaged",
            hint="Register again to stage the bundle anew.",
        ) from error
    except StorageError as error:
        if not error.missing:
            raise
        raise BundleError(
            f"The bundle member {entry.name!r} is missing at {entry.uri}.",
            code="SYSTEM:BundleMemberMissing",
            hint="Register again with --restage to stage it anew; was the staging area cleaned up?",
        ) from error


def _write(path: str, entry: IndexEntry, blocks: "Iterator[bytes]") -> "tuple[str, int]":
    """Write one member's parts to `path`, as far as the member goes.

    Returns the sha256 of what was written, or what is wrong with it, and how many parts were not taken.
    """
    digest = hashlib.sha256()
    size = taken = 0
    parts = _Parts([entry])
    try:
        with open(path, "wb", buffering=0) as file:
            for part in parts:
                block = next(blocks)
                taken += 1
                size += len(block)
                view = memoryview(block)[: part.length]
                digest.update(view)
                while view:
                    view = view[file.write(view) :]
                if len(block) < part.length and not part.is_last:
                    break  # it ends here, whatever the index claims
    except OSError as error:
        from flyte_nb.worker.failures import not_written

        what = f"The bundle member {entry.name!r} ({entry.size} bytes)"
        raise not_written(what, path, error) from error
    if size != entry.size:
        length = f"more than {entry.size}" if size > entry.size else str(size)
        return f"<{length} bytes in place of {entry.size}>", len(parts) - taken
    return digest.hexdigest(), 0


def _small(store: PartReader, uri: str) -> bytes:
    try:
        data = store.read_part(uri, 0, _MAX_INDEX_BYTES + 1)
    except StorageError as error:
        if not error.missing:
            raise
        raise BundleError(
            f"The bundle's index is missing at {uri}.",
            code="SYSTEM:BundleIndexMissing",
            hint="Register again with --restage to stage it anew; was the staging area cleaned up?",
        ) from error
    if len(data) > _MAX_INDEX_BYTES:
        raise BundleError(
            f"The bundle's index at {uri} has over {_MAX_INDEX_BYTES} bytes, which no index has.",
            code="SYSTEM:BundleIndexDamaged",
            hint="Register again to stage the bundle anew.",
        )
    return data


def _is_local(uri: str) -> bool:
    return uri.startswith(("file://", "/"))
