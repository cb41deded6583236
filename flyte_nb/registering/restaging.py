"""Look at the staged bundles of registered tasks, and stage again what is missing or damaged.

Looking costs one request for each object and transfers no content: the store answers the size, and mostly the
MD5. The code at hand is packed, so the right content of every object is known without reading the bundle.

An object that is missing is staged as it was the first time. One with other content is overwritten with this
process's own credentials, because FlyteAdmin gives no place where an object is.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from flyteidl.admin.task_pb2 import Task

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import RemoteError, StorageError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.ports import StagingArea, Stat
from flyte_nb.api.problems import Problem
from flyte_nb.bundle.inventory import MISSING
from flyte_nb.bundle.members import Contents
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.presence import find_missing, object_damage
from flyte_nb.bundle.side_by_side import side_by_side
from flyte_nb.bundle.stage import planned_index
from flyte_nb.drafting.draft import Draft
from flyte_nb.registering.staged import index_uri_in


class StoredObjects(Protocol):
    """Objects in any store, as far as this process can read them, itself or through FlyteAdmin.

    Every method raises `StorageError` when the store does not do what is asked.
    """

    def stat(self, uri: str) -> "Stat | None":
        """Return what is known of an object without reading it; `None` when there is no object."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on."""
        ...

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` with this process's own credentials, replacing what is there."""
        ...


class RestageOutcome(NamedTuple):
    """What was found, and done, for one registered task's bundle."""

    sent_bytes: int = 0
    is_damaged: bool = False
    """Whether an object was missing or had other content, before anything was done."""
    problem: "Problem | None" = None
    """Why the bundle is still damaged; `None` when it is whole now."""


class _StagedObject(NamedTuple):
    """One object that a bundle needs, with its right content."""

    uri: str
    place: str
    """Its path below the staging area."""
    sha256: str
    data: "bytes | memoryview"


def restage(
    drafts: "Iterable[Draft]",
    there: "Mapping[Identifier, Task]",
    objects: StoredObjects,
    area: StagingArea,
    *,
    dry_run: bool = False,
) -> "dict[Identifier, RestageOutcome]":
    """Look at the bundles of registered tasks, and stage again what is missing or damaged.

    Args:
        drafts: Drafts of the code at hand. Those without a bundle are passed over.
        there: The registered tasks, by id.
        objects: Looks at objects, and overwrites them.
        area: Where bundles are staged now.
        dry_run: Look only, and repair nothing.

    Returns:
        One outcome for each registered task that has a bundle.

    Raises:
        RemoteError: FlyteAdmin cannot be reached, or signs no URLs.
        StorageError: a store does not say whether an object is there.
    """
    # A task and the maps over it share one bundle, and so do tasks that are equal but for their options.
    bundles: dict[str, PackedTask] = {}
    users: dict[str, list[Draft]] = {}
    for draft in drafts:
        uri = index_uri_in(there[draft.id]) if draft.packed and draft.id in there else ""
        if uri and draft.packed is not None:
            bundles[uri] = draft.packed
            users.setdefault(uri, []).append(draft)
    # Bundles share members, such as the ring; each object is looked at once.
    wanted = {uri: _objects(packed, uri) for uri, packed in bundles.items()}
    distinct = {item.uri: item for items in wanted.values() for item in items}
    # A failure to repair one object does not stop the others: people want to know all that is lost.
    damaged = _damaged(objects, list(distinct.values()))
    sent, failures = {}, {}
    if not dry_run:
        for uri in damaged:
            try:
                sent[uri] = _restore(distinct[uri], damaged[uri], objects, area)
            except (StorageError, RemoteError) as error:
                failures[uri] = error.message
    outcomes: dict[Identifier, RestageOutcome] = {}
    for uri, items in wanted.items():
        bad = [item.uri for item in items if item.uri in damaged]
        for draft in users[uri]:
            if not items:
                outcomes[draft.id] = _look_only(draft, uri, objects)
            else:
                problem = next((_kept(draft, u, failures[u]) for u in bad if u in failures), None)
                # Taken out of `sent`, so that the bytes of a shared object count for one task only.
                size = sum(sent.pop(u, 0) for u in bad)
                outcomes[draft.id] = RestageOutcome(size, bool(bad), problem)
    return outcomes


def _objects(packed: PackedTask, uri: str) -> "list[_StagedObject]":
    """Return every object of the bundle whose index is at `uri`, the index last.

    Nothing is returned when the code at hand packs to other bytes than those at `uri`. Code with an equal
    fingerprint may do that, for example when its lines moved.
    """
    folder = uri.rpartition("/")[0]
    if planned_index(packed, folder) != uri:
        return []
    contents = Contents(packed)
    members = [
        _StagedObject(f"{folder}/{item.place}", item.place, item.sha256, item.data)
        for item in contents
    ]
    data = index_of.dumps(contents.index({item.sha256: item.uri for item in members}))
    return [*members, _StagedObject(uri, index_of.index_name(data), index_of.digest(data), data)]


def _damaged(objects: StoredObjects, items: "list[_StagedObject]") -> "dict[str, str]":
    """Return what is wrong with each object that is not whole, by its URI."""

    def look_at_one(item: _StagedObject) -> str:
        return object_damage(objects, item.uri, memoryview(item.data).nbytes, data=item.data)

    found = zip(items, side_by_side(look_at_one, items), strict=True)
    return {item.uri: what for item, what in found if what}


def _restore(item: _StagedObject, what: str, objects: StoredObjects, area: StagingArea) -> int:
    """Store an object again; return how many bytes were sent.

    Args:
        item: The object.
        what: What is wrong with it, as `_damaged` returns it.
        objects: Overwrites an object.
        area: Stages an object that is missing.

    Raises:
        StorageError: the store refused.
        RemoteError: FlyteAdmin refused.
    """
    size = memoryview(item.data).nbytes
    if what == MISSING:
        uri, sent = area.stage(item.place, item.data, sha256=item.sha256)
        if uri == item.uri:
            return sent
        # The area has moved since the task was registered, and the template names the old place.
    objects.write(item.uri, item.data)
    return size


def _look_only(draft: Draft, uri: str, objects: StoredObjects) -> RestageOutcome:
    """Look at a bundle that the code at hand does not pack to; damage becomes a problem."""
    damages, _ = find_missing(objects, [uri])
    if not damages:
        return RestageOutcome()
    found = "; ".join(f"{item.name} at {item.uri}: {item.what}" for item in damages)
    problem = Problem(
        "BundleDamaged",
        f"The staged code of the registered version {draft.id.version} is damaged: {found}.",
        hint="The code here does the same but packs to other bytes, so it cannot be stored in their place."
        " Change the task (its next version is staged in full), or restore the objects from a backup.",
        entity=draft.id.name,
        location=draft.entity.location,
    )
    return RestageOutcome(0, True, problem)


def _kept(draft: Draft, uri: str, reason: str) -> Problem:
    """Return the problem of a damaged object that could not be replaced."""
    return Problem(
        "BundleDamaged",
        f"The staged code of {draft.id.name} is damaged at {uri}, and it cannot be replaced: {reason}",
        hint="FlyteAdmin replaces no object. Delete it in the bucket, or give this process"
        " credentials for the bucket, and register again with --restage.",
        entity=draft.id.name,
        location=draft.entity.location,
    )
