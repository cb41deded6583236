"""Look at what registered tasks were staged as, and stage again what is lost or was cut short.

A look costs one question an object, and no bytes: the store says the size, and mostly the MD5. What the
code here packs to is known, so that nothing of the bundle has to be read. An object that is gone is
staged as it was the first time. One with other content is written over with this process's own
credentials, because FlyteAdmin gives no place that is taken.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import RemoteError, StorageError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.ports import StagingArea, Stat
from flyte_nb.api.problems import Problem
from flyte_nb.bundle.inventory import MISSING
from flyte_nb.bundle.looking import look, look_at
from flyte_nb.bundle.members import Contents
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.side_by_side import side_by_side
from flyte_nb.bundle.stage import planned_index
from flyte_nb.drafting.draft import Draft
from flyte_nb.registering.staged import index_uri_in


class StoredObjects(Protocol):
    """Objects of any store that this process, or FlyteAdmin for it, can read."""

    def stat(self, uri: str) -> "Stat | None":
        """Return what is known of an object without reading it; `None` when there is none."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on."""
        ...

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` with this process's own credentials. Raises `StorageError`."""
        ...


class Looked(NamedTuple):
    """What became of one registered task's bundle."""

    sent_bytes: int = 0
    is_damaged: bool = False
    problem: "Problem | None" = None
    """Why it could not be mended."""


class _Object(NamedTuple):
    uri: str
    place: str
    """Below the staging area."""
    sha256: str
    data: Any


def restage(
    drafts: "Iterable[Draft]",
    there: "Mapping[Identifier, Any]",
    objects: StoredObjects,
    area: StagingArea,
    *,
    dry_run: bool = False,
) -> "dict[Identifier, Looked]":
    """Look at the bundles of registered tasks, and stage again what is lost or damaged of them.

    Args:
        drafts: Tasks as they are packed here; others are passed over.
        there: flyteidl's `Task` of those that are registered.
        objects: Looks at and writes objects.
        area: Where bundles are staged now.
        dry_run: Only look.

    Raises:
        RemoteError: FlyteAdmin cannot be reached, or signs no URLs.
        StorageError: a store does not say what lies there.
    """
    bundles: dict[str, PackedTask] = {}
    users: dict[str, list[Draft]] = {}
    for draft in drafts:
        uri = index_uri_in(there[draft.id]) if draft.packed and draft.id in there else ""
        if uri and draft.packed is not None:
            bundles[uri] = draft.packed
            users.setdefault(uri, []).append(draft)
    wanted = {uri: _objects(packed, uri) for uri, packed in bundles.items()}
    distinct = {item.uri: item for items in wanted.values() for item in items}
    damaged = _damaged(objects, list(distinct.values()))
    sent, failures = {}, {}
    if not dry_run:
        for uri in damaged:
            try:
                sent[uri] = _restore(distinct[uri], damaged[uri], objects, area)
            except (StorageError, RemoteError) as error:
                failures[uri] = error.message
    looked: dict[Identifier, Looked] = {}
    for uri, items in wanted.items():
        bad = [item.uri for item in items if item.uri in damaged]
        for draft in users[uri]:
            if not items:
                looked[draft.id] = _look_only(draft, uri, objects)
            else:
                problem = next((_kept(draft, u, failures[u]) for u in bad if u in failures), None)
                size = sum(sent.pop(u, 0) for u in bad)
                looked[draft.id] = Looked(size, bool(bad), problem)
    return looked


def _objects(packed: PackedTask, uri: str) -> "list[_Object]":
    """Everything that the index at `uri` needs, and the index; nothing when other bytes come out here.

    Equal fingerprints may come with other bytes, e.g. of lines that moved.
    """
    folder = uri.rpartition("/")[0]
    if planned_index(packed, folder) != uri:
        return []
    contents = Contents(packed)
    members = [
        _Object(f"{folder}/{item.place}", item.place, item.sha256, item.data) for item in contents
    ]
    data = index_of.dumps(contents.index({item.sha256: item.uri for item in members}))
    return [*members, _Object(uri, index_of.index_name(data), index_of.digest(data), data)]


def _damaged(objects: StoredObjects, items: "list[_Object]") -> "dict[str, str]":
    """What is wrong with each object that is not whole, by its URI."""

    def look_at_one(item: _Object) -> str:
        return look_at(objects, item.uri, memoryview(item.data).nbytes, data=item.data)

    found = zip(items, side_by_side(look_at_one, items), strict=True)
    return {item.uri: what for item, what in found if what}


def _restore(item: _Object, what: str, objects: StoredObjects, area: StagingArea) -> int:
    size = memoryview(item.data).nbytes
    if what == MISSING:
        uri, sent = area.stage(item.place, item.data, sha256=item.sha256)
        if uri == item.uri:
            return sent
    objects.write(item.uri, item.data)
    return size


def _look_only(draft: Draft, uri: str, objects: StoredObjects) -> Looked:
    """Look at a bundle that cannot be made again from the code here."""
    damages, _ = look(objects, [uri])
    if not damages:
        return Looked()
    found = "; ".join(f"{item.name} at {item.uri}: {item.what}" for item in damages)
    problem = Problem(
        "BundleDamaged",
        f"The staged code of the registered version {draft.id.version} is damaged: {found}.",
        hint="The code here is equal in what it does, and not byte for byte, so that it cannot take"
        " that place. Change the task (its next version is staged whole), or restore the objects.",
        entity=draft.id.name,
        location=draft.entity.location,
    )
    return Looked(0, True, problem)


def _kept(draft: Draft, uri: str, reason: str) -> Problem:
    return Problem(
        "BundleDamaged",
        f"The staged code of {draft.id.name} is damaged at {uri}, and it cannot be replaced: {reason}",
        hint="FlyteAdmin replaces no object that is there. Delete it in the bucket, or give this process"
        " credentials for the bucket, and register again with --restage.",
        entity=draft.id.name,
        location=draft.entity.location,
    )
