"""Fetch a staged bundle and verify it: the caller gets only files that match the index.

Trust starts at the digest in the index's own file name, which the registered template contains. The index
is checked against that digest, and every member against the index. Everything that is read counts as
hostile until then: members are read in parts, never beyond the size that the index claims, and are
digested while they are written.

This module is part of the lean runtime. It uses the standard library only, and starts no threads for
files of this machine, because both would delay every attempt.
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
"""How much one request asks for, and how much a retry repeats. Up to 16 parts are in memory at once."""
_LOCAL_PART_BYTES = 1 << 20
"""The same for a disk: a call costs next to nothing there, and data in the CPU's cache is digested faster."""


class Fetched(NamedTuple):
    """Paths of verified local copies of everything that one task needs."""

    ring: str
    payload: str
    buffers: "tuple[str, ...]"
    modules: "tuple[str, ...]"
    python: str
    """`major.minor` of the Python that wrote the payload."""
    tasks: "dict[str, TaskEntry]" = {}  # noqa: RUF012 - never mutated
    """All tasks of the index, by name: the task itself and, for a dynamic task, those it can call."""
    lock: str = ""
    """The locked requirements; empty when the task has none."""
    launch_plans: "tuple[Identifier, ...]" = ()
    """For a dynamic task, the launch plans of the index, which its body can start."""


def fetch(
    index_uri: str,
    task_name: str,
    store: BlobStore,
    folder: str,
    *,
    on_ring: "Callable[[str], None] | None" = None,
    sleep: Sleep = time.sleep,
) -> Fetched:
    """Copy everything that `task_name` needs into `folder`, verified, and return the paths.

    Args:
        index_uri: the location of the index; its file name contains its digest.
        task_name: the task's registered name.
        store: the store to read from.
        folder: an existing local folder that only this attempt uses.
        on_ring: called with the ring's path as soon as the ring is verified, before the rest is fetched,
            so that the worker can load it in the meantime.
        sleep: waits before another try after a transient fault, in seconds.

    Raises:
        ChecksumMismatch: when a member does not match the index twice in a row.
        BundleError: when the index or a member is missing, the index is damaged, of another protocol, or
            lacks the task, or a file cannot be written.
        StorageError: when the store cannot be read, also after several tries.
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
    # `_bring` yields paths in the order of `wanted`: ring, payload, buffers, modules, lock.
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
    """The part of a `BlobStore` that reading an index needs."""

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes of the object from `offset` on."""
        ...


def read_index(index_uri: str, store: PartReader, *, sleep: Sleep = time.sleep) -> Index:
    """Return the index at `index_uri`, verified against the digest in its name.

    Raises:
        ChecksumMismatch: when its bytes have another digest twice in a row.
        BundleError: when its name contains no digest, it is missing or too large, or this release cannot
            read its format or protocol.
        StorageError: when the store cannot be read, also after several tries.
    """
    pinned = index_of.digest_in_name(index_uri)
    if not pinned:
        raise BundleError(
            f"The index location {index_uri!r} has no digest in its name.",
            code="SYSTEM:BundleIndexUnpinned",
            hint="An index is named index-<sha256>.json. Register again.",
        )
    retrying = Retrying(sleep)
    data = retrying(partial(_index_bytes, store, index_uri))
    # A wrong digest may be a fault of the way, e.g. of a cache. What is stored wrongly is wrong twice.
    if index_of.digest(data) != pinned:
        data = retrying(partial(_index_bytes, store, index_uri))
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
    """Return the members that the task needs, in the order of `Fetched`.

    Raises:
        BundleError: when the index lacks one of them.
    """
    named = [(index_of.TASK, task.payload)]
    named += [(index_of.BUFFER, name) for name in task.buffers]
    named += [(index_of.MODULE, name) for name in task.modules]
    if task.lock:
        named.append((index_of.LOCK, task.lock))
    # An index may have thousands of members (a dynamic task's has those of all tasks that it can call), so
    # they are looked up in a dict. The first of two with one name counts, as in `Index.entry`.
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
    """The parts of several members, in order.

    Each part is computed when it is asked for: a damaged index may claim a member of 2^61 bytes, and a
    list of its parts would fill the memory. A member's last part asks for one byte more than is left, to
    see whether the member ends there.
    """

    def __init__(self, entries: "Iterable[IndexEntry]") -> None:
        self._entries = list(entries)
        self._ends: list[int] = []
        """For each entry, how many parts there are up to its end."""
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
    """Yield local paths of the members, each as soon as it is verified.

    One stream of blocks serves all members, so that the next member is under way while one is verified.
    """
    read = partial(_read, store, retrying)
    parts = _Parts(entries)
    # Threads hide the latency of a network. From a disk they would only add their own cost.
    blocks: Iterator[bytes]
    if len(parts) == 1 or all(_is_local(entry.uri) for entry in entries):
        blocks = map(read, parts)
    else:
        # Imported here: `threading` takes 2 ms to import, which an attempt on local files need not pay.
        from flyte_nb.bundle.side_by_side import side_by_side

        blocks = side_by_side(read, parts)
    for entry in entries:
        path = _path(folder, entry)
        actual, left = _write(path, entry, blocks)
        if actual != entry.sha256:  # try once more: a cache or a connection may have failed
            actual, _ = _write(path, entry, map(read, _Parts([entry])))
            if actual != entry.sha256:
                raise ChecksumMismatch(
                    entry.name, expected=entry.sha256, actual=actual, uri=entry.uri
                )
            # The first try may have stopped early. Its unread blocks are next in the stream, and the next
            # member must not get them. The member has the size that the index claims, so they are few.
            for _ in range(left):
                next(blocks)
        yield path


def _path(folder: str, entry: IndexEntry) -> str:
    """Return a local path for a member, made of its digest: a name from an index could climb out."""
    suffix = ".zip" if entry.kind in (index_of.RING, index_of.MODULE) else ""
    return os.path.join(folder, f"{entry.kind}-{entry.sha256[:32]}{suffix}")


def _read(store: BlobStore, retrying: Retrying, part: _Part) -> bytes:
    entry = part.entry
    try:
        return retrying(lambda: store.read_part(entry.uri, part.offset, part.length))
    except ValueError as error:  # the index names a location with a null byte or the like
        raise BundleError(
            f"The bundle member {entry.name!r} cannot be read at {entry.uri!r}: {error}.",
            code="SYSTEM:BundleIndexDamaged",
            hint="Register again to stage the bundle anew.",
        ) from error
    except StorageError as error:
        # A missing member is the bundle's fault and gets its own code. Any other fault is the store's.
        if not error.missing:
            raise
        raise BundleError(
            f"The bundle member {entry.name!r} is missing at {entry.uri}.",
            code="SYSTEM:BundleMemberMissing",
            hint="Register again with --restage to stage it anew; was the staging area cleaned up?",
        ) from error


def _write(path: str, entry: IndexEntry, blocks: "Iterator[bytes]") -> "tuple[str, int]":
    """Write one member's parts to `path`, up to the member's end.

    Returns:
        the sha256 of the bytes written, or a text that says what is wrong with their number; and how many
        of the member's parts were not taken from `blocks`.
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
                # A store may answer with more than it was asked for. Only what was asked for is written;
                # the size below counts all of it, so that a member that is too long is refused.
                view = memoryview(block)[: part.length]
                digest.update(view)
                while view:
                    view = view[file.write(view) :]
                if len(block) < part.length and not part.is_last:
                    break  # the member ends here, whatever size the index claims
    except OSError as error:
        # Imported here because only a failure needs it, and every attempt pays for this module's imports.
        from flyte_nb.worker.failures import not_written

        what = f"The bundle member {entry.name!r} ({entry.size} bytes)"
        raise not_written(what, path, error) from error
    if size != entry.size:
        length = f"more than {entry.size}" if size > entry.size else str(size)
        return f"<{length} bytes in place of {entry.size}>", len(parts) - taken
    return digest.hexdigest(), 0


def _index_bytes(store: PartReader, uri: str) -> bytes:
    """Return the bytes of an index, and refuse one that is far too large to be one."""
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
