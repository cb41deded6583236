"""List what a staging location holds, verify it, and remove what no registered task needs.

Objects are recognised by their names, which follow from their content: `index-<sha256>.json` for indexes
and `<sha256[:2]>/<sha256>` for members. Objects with other names are not ours and are never touched.

Cleaning up is safe while registrations go on, by these rules:

1. An object counts as recent for `GRACE_S` after it was written or renewed. Only objects that are not
   recent are removed, and each is looked at again just before its removal.
2. A registration renews every object that it uses again and that is older than half of `GRACE_S`. So an
   object that it found stays at least for the other half, until an index names it.
3. After its indexes are written, a registration looks once more at the objects that it renewed, and writes
   again those that were removed meanwhile (`DirectoryStaging.settle`).

One gap is left, because stores have no conditional delete: a cleaner may stand still between its look at
an object and that object's removal. If a whole registration that uses the object fits in there, its loss
is not noticed. There are two limits besides. A shorter age than `GRACE_S` is safe only while nobody
registers. And the signed URLs of a FlyteAdmin on a cluster cannot renew an object.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, StorageError
from flyte_nb.api.index import Index
from flyte_nb.api.ports import GRACE_S, BlobStore, Stat
from flyte_nb.bundle.fetch import read_index

_MEMBER = re.compile(r"(?:^|/)([0-9a-f]{2})/(\1[0-9a-f]{62})$")
_BLOCK = 4 << 20


MISSING = "it is missing"
"""The description of the damage when an object does not exist."""


class ObjectReader(Protocol):
    """The part of a `BlobStore` that is needed to check objects."""

    def stat(self, uri: str) -> "Stat | None":
        """Return what is known of an object without reading it, or `None` when there is none."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on."""
        ...


class StoredIndex(NamedTuple):
    """One index at the location."""

    uri: str
    size: int
    contents: "Index | None"
    """`None` when it cannot be read."""
    problem: str = ""
    modified_s: "float | None" = None

    @property
    def digest(self) -> str:
        """Return the index's digest, which identifies the bundle in any location."""
        return index_of.digest_in_name(self.uri)

    @property
    def tasks(self) -> "tuple[str, ...]":
        """Return the names of the tasks that it can run, sorted."""
        return tuple(sorted(self.contents.tasks)) if self.contents is not None else ()

    @property
    def bundle_bytes(self) -> int:
        """Return the bytes of all members, each counted once: the most that a task fetches."""
        if self.contents is None:
            return 0
        return sum({entry.sha256: entry.size for entry in self.contents.entries}.values())


class StoredMember(NamedTuple):
    """One member at the location."""

    uri: str
    sha256: str
    size: int
    modified_s: "float | None"


class Inventory(NamedTuple):
    """All indexes and members at one location."""

    root: str
    indexes: "tuple[StoredIndex, ...]"
    members: "tuple[StoredMember, ...]"

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of all indexes and members."""
        return sum(item.size for item in self.indexes) + sum(item.size for item in self.members)


def inventory(store: BlobStore, root: str) -> Inventory:
    """Return the indexes and members below `root`. Indexes are read and verified, members are not read.

    Raises:
        StorageError: when the location cannot be listed, or an object's size cannot be asked for.
    """
    indexes, members = [], []
    # The listing has names only. The size and age of each object that is ours are asked for one by one.
    for uri in store.list(root.rstrip("/")):
        match = _MEMBER.search(uri)
        is_index = bool(index_of.digest_in_name(uri))
        found = store.stat(uri) if match is not None or is_index else None
        # It is not ours, or was removed since it was listed.
        if found is None:
            continue
        if match is not None:
            members.append(StoredMember(uri, match[2], found.size, found.modified_s))
        else:
            indexes.append(stored_index(store, uri))
    return Inventory(root, tuple(indexes), tuple(members))


def stored_index(store: BlobStore, uri: str) -> StoredIndex:
    """Return the index at `uri`, verified. When it cannot be read, `problem` says why."""
    try:
        found = store.stat(uri)
        contents = read_index(uri, store)
    except (BundleError, StorageError) as error:
        return StoredIndex(uri, 0, None, error.message)
    size, modified_s = (found.size, found.modified_s) if found is not None else (0, None)
    return StoredIndex(uri, size, contents, "", modified_s)


class Damage(NamedTuple):
    """One object that is missing or does not match its index."""

    uri: str
    name: str
    """The member's name; `index` for an index itself."""
    what: str
    """What is wrong, e.g. a wrong size, or the expected and the actual digest."""
    tasks: "tuple[str, ...]"
    """The tasks that cannot run because of it."""


def verify(store: BlobStore, indexes: "Iterable[StoredIndex]") -> "tuple[list[Damage], int]":
    """Read every member of the indexes again and compare it with its index.

    An object that several indexes name is read once. Members are read in blocks of 4 MB, so that memory
    stays small.

    Returns:
        the damaged objects, and how many objects are whole.
    """
    damages: dict[str, Damage] = {}
    # What is wrong with each object, by URI; an empty text for a whole one.
    looked_at: dict[str, str] = {}
    for item in indexes:
        if item.contents is None:
            damages[item.uri] = Damage(item.uri, "index", item.problem, ())
            continue
        looked_at.setdefault(item.uri, "")
        for entry in item.contents.entries:
            if entry.uri not in looked_at:
                looked_at[entry.uri] = content_damage(store, entry.uri, entry.size, entry.sha256)
            if looked_at[entry.uri]:
                known = damages.get(entry.uri)
                tasks = {
                    *(known.tasks if known is not None else ()),
                    *tasks_needing(item.contents, entry),
                }
                damages[entry.uri] = Damage(
                    entry.uri, entry.name, looked_at[entry.uri], tuple(sorted(tasks))
                )
    return list(damages.values()), sum(not what for what in looked_at.values())


def tasks_needing(index: Index, entry: index_of.IndexEntry) -> "set[str]":
    """Return the tasks of an index that cannot run without one of its members."""
    # Every task of the bundle is loaded by it.
    if entry.kind == index_of.RING:
        return set(index.tasks)
    return {
        name
        for name, task in index.tasks.items()
        if entry.name in (task.payload, *task.buffers, *task.modules, task.lock)
    }


def content_damage(store: ObjectReader, uri: str, size: int, sha256: str) -> str:
    """Return what is wrong with the object, or `""` when it is whole."""
    digest = hashlib.sha256()
    read = 0
    try:
        while block := store.read_part(uri, read, _BLOCK):
            digest.update(block)
            read += len(block)
            if read > size:  # it is damaged already; the rest may be endless
                break
    except StorageError as error:
        return MISSING if error.missing else error.message
    if read != size:
        length = f"more than {size}" if read > size else str(read)
        return f"it has {length} bytes in place of {size}"
    actual = digest.hexdigest()
    return "" if actual == sha256 else f"its sha256 is {actual}, expected {sha256}"


class Removal(NamedTuple):
    """One object that no registered task needs."""

    uri: str
    size: int
    what: str
    """`index` or `member`."""
    name: str
    """The tasks of an index; the digest of a member."""


class CleanupPlan(NamedTuple):
    """What a cleanup would remove."""

    removals: "tuple[Removal, ...]"
    kept_indexes: int
    """How many indexes stay: those that are needed and those that are recent."""
    too_recent: int
    """How many objects stay only because they are recent."""
    min_age_s: float = GRACE_S
    """Objects that are more recent at the moment of their removal stay."""

    @property
    def size(self) -> int:
        """Return how many bytes would become free."""
        return sum(removal.size for removal in self.removals)


def plan_cleanup(
    held: Inventory, needed: "Iterable[str]", *, now_s: float, min_age_s: float = GRACE_S
) -> CleanupPlan:
    """Plan to remove old indexes that are not needed, and old members that no remaining index names.

    Args:
        held: what the location holds.
        needed: digests of the indexes that registered tasks name.
        now_s: the present, in seconds since 1970.
        min_age_s: objects that are more recent, or whose age is unknown, stay.

    Raises:
        BundleError: when an index that stays cannot be read, because then it is unknown which members it
            needs.
    """
    digests = set(needed)
    removals: list[Removal] = []
    keeping: list[StoredIndex] = []
    too_recent = 0
    for item in held.indexes:
        is_old = _is_old(item.modified_s, now_s, min_age_s)
        # An index that no registered task names yet may be of a registration that is still going on.
        if item.digest in digests or not is_old:
            keeping.append(item)
            if item.digest not in digests:
                too_recent += 1
        else:
            name = ", ".join(item.tasks) or "unreadable"
            removals.append(Removal(item.uri, item.size, "index", name))
    # Members are shared by indexes, so a member goes only when the last index that names it goes.
    named = _named_by(keeping)
    for member in held.members:
        if member.sha256 in named:
            continue
        if _is_old(member.modified_s, now_s, min_age_s):
            removals.append(Removal(member.uri, member.size, "member", member.sha256))
        else:
            too_recent += 1
    return CleanupPlan(
        removals=tuple(removals),
        kept_indexes=len(keeping),
        too_recent=too_recent,
        min_age_s=min_age_s,
    )


def collect(
    store: BlobStore,
    planned: CleanupPlan,
    root: str,
    needed: "Iterable[str]",
    *,
    clock: "Callable[[], float]" = time.time,
) -> "list[Removal]":
    """Remove what was planned, indexes first. An object that was used since it was planned stays.

    When it is interrupted, members are left that no index names. The next cleanup removes them.

    Args:
        store: the store of the location.
        planned: the plan.
        root: the location.
        needed: digests of the indexes that registered tasks name now.
        clock: returns the present, in seconds since 1970.

    Returns:
        what was removed.

    Raises:
        BundleError: when an index that stays cannot be read.
        StorageError: when something cannot be listed or removed.
    """
    digests = set(needed)
    removed = []

    def remove(removal: Removal) -> None:
        # A registration may have renewed the object since it was planned, so look again.
        found = store.stat(removal.uri)
        if found is not None and _is_old(found.modified_s, clock(), planned.min_age_s):
            store.delete(removal.uri)
            removed.append(removal)

    for removal in planned.removals:
        if removal.what == "index" and index_of.digest_in_name(removal.uri) not in digests:
            remove(removal)
    # List again: a registration may have used an old member and written an index that names it.
    named = _named_by(inventory(store, root).indexes)
    for removal in planned.removals:
        if removal.what == "member" and removal.name not in named:
            remove(removal)
    return removed


def _named_by(indexes: "Iterable[StoredIndex]") -> "set[str]":
    named: set[str] = set()
    for item in indexes:
        if item.contents is None:
            raise BundleError(
                f"The index {item.uri} cannot be read: {item.problem} It is needed or too recent to be"
                " removed, and it is unknown which members it names. Nothing is removed.",
                hint="Register its tasks again, or remove the index by hand.",
            )
        named |= {entry.sha256 for entry in item.contents.entries}
    return named


def _is_old(modified_s: "float | None", now_s: float, min_age_s: float) -> bool:
    # An unknown age counts as recent: keeping too much costs a little money, removing too much a task.
    return modified_s is not None and now_s - modified_s >= min_age_s
