"""What a staging location holds, whether it is still whole, and what nobody needs any more.

Objects are told by their names, which follow from their content: `index-<sha256>.json`, and members as
`<sha256[:2]>/<sha256>`. Whatever else lies there is not ours, and is never touched.

Registrations may be under way meanwhile, and may use again what nobody refers to yet. What they stage, and
what they find and is older than half of `GRACE_S`, is young then; and nothing is removed that is young at
the moment of its removal, which registrations look at once more after their index. (Stores remove without
conditions: a cleaner that stands still for a whole registration between its look at one object and that
object's removal is not noticed.) A shorter age is for when nobody registers; and FlyteAdmin's signed URLs,
but for the local backend's, cannot make young what they find.
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
"""What is wrong with an object that is not there."""


class Looks(Protocol):
    """The part of a store that a look needs."""

    def stat(self, uri: str) -> "Stat | None":
        """Return what is known of an object without reading it; `None` when there is none."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on."""
        ...


class StoredIndex(NamedTuple):
    """One index that lies there."""

    uri: str
    size: int
    contents: "Index | None"
    """`None` when it cannot be read."""
    problem: str = ""
    modified_s: "float | None" = None

    @property
    def digest(self) -> str:
        """Which bundle it is, in any location."""
        return index_of.digest_in_name(self.uri)

    @property
    def tasks(self) -> "tuple[str, ...]":
        """The tasks that it can run."""
        return tuple(sorted(self.contents.tasks)) if self.contents is not None else ()

    @property
    def bundle_bytes(self) -> int:
        """What a task fetches at most: all members, each once."""
        if self.contents is None:
            return 0
        return sum({entry.sha256: entry.size for entry in self.contents.entries}.values())


class StoredMember(NamedTuple):
    """One member that lies there."""

    uri: str
    sha256: str
    size: int
    modified_s: "float | None"


class Inventory(NamedTuple):
    """Everything of ours at one location."""

    root: str
    indexes: "tuple[StoredIndex, ...]"
    members: "tuple[StoredMember, ...]"

    @property
    def stored_bytes(self) -> int:
        """Bytes that lie there."""
        return sum(item.size for item in self.indexes) + sum(item.size for item in self.members)


def inventory(store: BlobStore, root: str) -> Inventory:
    """Look at what lies below `root`. Members are not read.

    Raises:
        StorageError: when the location cannot be listed.
    """
    indexes, members = [], []
    for uri in store.list(root.rstrip("/")):
        match = _MEMBER.search(uri)
        is_index = bool(index_of.digest_in_name(uri))
        found = store.stat(uri) if match is not None or is_index else None
        if found is None:
            continue
        if match is not None:
            members.append(StoredMember(uri, match[2], found.size, found.modified_s))
        else:
            indexes.append(stored_index(store, uri))
    return Inventory(root, tuple(indexes), tuple(members))


def stored_index(store: BlobStore, uri: str) -> StoredIndex:
    """The index at `uri`, verified; what keeps it from being read is in the answer."""
    try:
        found = store.stat(uri)
        contents = read_index(uri, store)
    except (BundleError, StorageError) as error:
        return StoredIndex(uri, 0, None, error.message)
    size, modified_s = (found.size, found.modified_s) if found is not None else (0, None)
    return StoredIndex(uri, size, contents, "", modified_s)


class Damage(NamedTuple):
    """One object that is not what it should be."""

    uri: str
    name: str
    """The member's name; `index` for an index itself."""
    what: str
    """What is wrong, with the expected and the actual digest where that is it."""
    tasks: "tuple[str, ...]"
    """The tasks that cannot run because of it."""


def verify(store: BlobStore, indexes: "Iterable[StoredIndex]") -> "tuple[list[Damage], int]":
    """Read every member of the indexes again; what is damaged, and how many objects are whole.

    An object that several indexes name is read once. Memory stays small, whatever a member's size.
    """
    damages: dict[str, Damage] = {}
    looked_at: dict[str, str] = {}
    for item in indexes:
        if item.contents is None:
            damages[item.uri] = Damage(item.uri, "index", item.problem, ())
            continue
        looked_at.setdefault(item.uri, "")
        for entry in item.contents.entries:
            if entry.uri not in looked_at:
                looked_at[entry.uri] = checked(store, entry.uri, entry.size, entry.sha256)
            if looked_at[entry.uri]:
                known = damages.get(entry.uri)
                tasks = {
                    *(known.tasks if known is not None else ()),
                    *needing(item.contents, entry),
                }
                damages[entry.uri] = Damage(
                    entry.uri, entry.name, looked_at[entry.uri], tuple(sorted(tasks))
                )
    return list(damages.values()), sum(not what for what in looked_at.values())


def needing(index: Index, entry: index_of.IndexEntry) -> "set[str]":
    """Return the tasks of an index that cannot run without one of its members."""
    if entry.kind == index_of.RING:
        return set(index.tasks)
    return {
        name
        for name, task in index.tasks.items()
        if entry.name in (task.payload, *task.buffers, *task.modules, task.lock)
    }


def checked(store: Looks, uri: str, size: int, sha256: str) -> str:
    """What is wrong with the object; empty when it is whole."""
    digest = hashlib.sha256()
    read = 0
    try:
        while block := store.read_part(uri, read, _BLOCK):
            digest.update(block)
            read += len(block)
            if read > size:
                break
    except StorageError as error:
        return MISSING if error.missing else error.message
    if read != size:
        length = f"more than {size}" if read > size else str(read)
        return f"it has {length} bytes in place of {size}"
    actual = digest.hexdigest()
    return "" if actual == sha256 else f"its sha256 is {actual}, expected {sha256}"


class Removal(NamedTuple):
    """One object that nobody needs."""

    uri: str
    size: int
    what: str
    """`index` or `member`."""
    name: str
    """The tasks of an index; the digest of a member."""


class Plan(NamedTuple):
    """What would be removed, and what is kept though nobody refers to it."""

    removals: "tuple[Removal, ...]"
    kept_indexes: int
    too_young: int
    min_age_s: float = GRACE_S
    """What is younger when its turn comes is kept."""

    @property
    def size(self) -> int:
        """Bytes that would become free."""
        return sum(removal.size for removal in self.removals)


def plan(
    held: Inventory, needed: "Iterable[str]", *, now_s: float, min_age_s: float = GRACE_S
) -> Plan:
    """What can go: old indexes that are not needed, and old members that no index left names.

    Args:
        held: what lies there.
        needed: digests of the indexes that registered tasks name.
        now_s: seconds since 1970.
        min_age_s: what is younger, or of unknown age, is kept.

    Raises:
        BundleError: when an index that stays cannot be read: what it needs is not known then.
    """
    digests = set(needed)
    removals: list[Removal] = []
    keeping: list[StoredIndex] = []
    young = 0
    for item in held.indexes:
        is_old = _is_old(item.modified_s, now_s, min_age_s)
        if item.digest in digests or not is_old:
            keeping.append(item)
            young += item.digest not in digests
        else:
            name = ", ".join(item.tasks) or "unreadable"
            removals.append(Removal(item.uri, item.size, "index", name))
    named = _named_by(keeping)
    for member in held.members:
        if member.sha256 in named:
            continue
        if _is_old(member.modified_s, now_s, min_age_s):
            removals.append(Removal(member.uri, member.size, "member", member.sha256))
        else:
            young += 1
    return Plan(tuple(removals), len(keeping), young, min_age_s)


def collect(
    store: BlobStore,
    planned: Plan,
    root: str,
    needed: "Iterable[str]",
    *,
    clock: "Callable[[], float]" = time.time,
) -> "list[Removal]":
    """Remove what was planned, indexes first; what came to be needed or was used meanwhile stays.

    Interrupted anywhere, it leaves members that no index names, for the next time. `clock` tells seconds
    since 1970.

    Raises:
        StorageError: when something cannot be removed.
    """
    digests = set(needed)
    removed = []

    def remove(removal: Removal) -> None:
        found = store.stat(removal.uri)  # now, for a registration may have made it young since
        if found is not None and _is_old(found.modified_s, clock(), planned.min_age_s):
            store.delete(removal.uri)
            removed.append(removal)

    for removal in planned.removals:
        if removal.what == "index" and index_of.digest_in_name(removal.uri) not in digests:
            remove(removal)
    # Once more, for a registration may have found an old member there and written its index since.
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
                f"The index {item.uri} stays and cannot be read: {item.problem} So it is not known"
                " which members it needs, and nothing is removed.",
                hint="Register its tasks again, or remove the index by hand.",
            )
        named |= {entry.sha256 for entry in item.contents.entries}
    return named


def _is_old(modified_s: "float | None", now_s: float, min_age_s: float) -> bool:
    return modified_s is not None and now_s - modified_s >= min_age_s
