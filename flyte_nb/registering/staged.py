"""List, verify and clean up staged bundles, knowing which of them a FlyteAdmin's registered tasks name.

The tasks of all projects and domains are asked for: a staging area is shared by all of them.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.project_pb2 import ProjectListRequest
from flyteidl.admin.task_pb2 import Task
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.ports import GRACE_S, BlobStore
from flyte_nb.bundle.inventory import (
    CleanupPlan,
    Damage,
    Inventory,
    ObjectReader,
    Removal,
    StoredIndex,
    collect,
    inventory,
    plan_cleanup,
    stored_index,
    verify,
)
from flyte_nb.bundle.presence import find_missing
from flyte_nb.client.admin_client import AdminClient

_INDEX = re.compile(r"\S*index-([0-9a-f]{64})\.json")
"""The URI of an index in an argument of a container. Its name has the digest of the index."""
_PAGE = 200


class StagedBundles:
    """The bundles at one or more locations, and the registered tasks that need them.

    Args:
        client: Calls the FlyteAdmin whose tasks need the bundles.
        store: Reads and removes objects, with this process's own credentials.
        own: The local backend's own location, when it is on this machine; else empty.
        objects: Looks at objects, also where this process has no credentials; `None` uses `store`.
    """

    def __init__(
        self,
        client: AdminClient,
        store: BlobStore,
        own: str = "",
        objects: "ObjectReader | None" = None,
    ) -> None:
        self._client = client
        self._store = store
        self._own = own
        self._objects: ObjectReader = objects if objects is not None else store

    def __repr__(self) -> str:
        return (
            "<staged bundles: .locations(), .referred(), .held(location), .verify(), .check(),"
            " .plan(location),"
            " .collect(location, plan)>"
        )

    def locations(self) -> "list[str]":
        """Return the local backend's own location; else the folders of the indexes that tasks name, sorted.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        if self._own:
            return [self._own]
        found = _found(self._client).values()
        return sorted({uri.rpartition("/")[0] for _, uris in found for uri in uris})

    def referred(self) -> "dict[str, list[str]]":
        """Return which registered tasks name which index: `name (version)` of each, by the index's digest.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        return {digest: sorted(names) for digest, (names, _) in _found(self._client).items()}

    def held(self, location: str) -> Inventory:
        """Return the inventory of a location: its indexes and objects.

        Raises:
            StorageError: the location cannot be listed.
        """
        return inventory(self._store, location)

    def verify(self, *locations: str) -> "tuple[list[Damage], int]":
        """Read every member and compare digests; return what is damaged, and how many objects are whole.

        Args:
            *locations: Folders of bundles, or URIs of single indexes. Without any, `locations()`.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: a location cannot be listed.
        """
        indexes: list[StoredIndex] = []
        for location in locations or self.locations():
            if location.endswith(".json"):
                indexes.append(stored_index(self._store, location))
            else:
                indexes += self.held(location).indexes
        return verify(self._store, indexes)

    def check(self, *index_uris: str) -> "tuple[list[Damage], int]":
        """Check the sizes of all objects of bundles; return what is damaged, and how many objects are whole.

        Indexes are read, and members are not. Where FlyteAdmin signs URLs, no credentials are needed.

        Args:
            *index_uris: URIs of single indexes. Without any, those that registered tasks name.

        Raises:
            RemoteError: FlyteAdmin refused, cannot be reached, or signs no URLs.
            StorageError: a store does not say whether an object is there.
        """
        # Indexes may be in several stores: a project can have moved to another staging area.
        named = index_uris or sorted({u for _, uris in _found(self._client).values() for u in uris})
        return find_missing(self._objects, named)

    def plan(self, location: str, *, min_age_s: float = GRACE_S) -> CleanupPlan:
        """Return what no registered task needs. Nothing is removed.

        Args:
            location: A folder of bundles.
            min_age_s: Objects that were written or used within this many seconds are kept.

        Raises:
            BundleError: an index that stays cannot be read, so it is not known what it needs.
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the location cannot be listed.
        """
        # The order matters. A bundle that is registered between the two steps is missing from the
        # inventory, and so it is not planned for removal.
        held = self.held(location)
        return plan_cleanup(held, self.referred(), now_s=time.time(), min_age_s=min_age_s)

    def collect(self, location: str, planned: CleanupPlan) -> "list[Removal]":
        """Remove what was planned, except what a task needs by now or what was used since.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached; nothing was removed.
            StorageError: the location cannot be listed.
        """
        return collect(self._store, planned, location, self.referred())


def index_uri_in(task: Task) -> str:
    """Return the URI of a registered task's index; empty when the task has no bundle."""
    for argument in _arguments(task.closure.compiled_task.template):
        match = _INDEX.search(argument)
        if match is not None:
            return match[0]
    return ""


def _found(client: AdminClient) -> "dict[str, tuple[list[str], set[str]]]":
    """Return the indexes that registered tasks name: by digest, the tasks' names and the indexes' URIs."""
    found: dict[str, tuple[list[str], set[str]]] = {}
    for task in _tasks(client):
        for argument in _arguments(task.closure.compiled_task.template):
            match = _INDEX.search(argument)
            if match is not None:
                names, uris = found.setdefault(match[1], ([], set()))
                names.append(f"{task.id.name} ({task.id.version})")
                uris.add(match[0])
    return found


def _arguments(template: TaskTemplate) -> "Iterator[str]":
    """Yield commands and arguments of a task's container, and of every container of its pod."""
    yield from template.container.command
    yield from template.container.args
    # A pod template is a free-form struct in Kubernetes' own spelling (flyteidl/core/tasks.proto, K8sPod).
    if template.HasField("k8s_pod"):
        for container in template.k8s_pod.pod_spec.fields["containers"].list_value.values:
            for name in ("command", "args"):
                for item in container.struct_value.fields[name].list_value.values:
                    yield item.string_value


def _tasks(client: AdminClient) -> "Iterator[Task]":
    """Yield every version of every registered task, in all projects and domains."""
    for project in _paged(client, "ListProjects", ProjectListRequest(limit=_PAGE), "projects"):
        for domain in project.domains:
            place = NamedEntityIdentifier(project=project.id, domain=domain.id)
            request = ResourceListRequest(id=place, limit=_PAGE)
            yield from _paged(client, "ListTasks", request, "tasks")


def _paged(
    client: AdminClient,
    method: str,
    request: "ProjectListRequest | ResourceListRequest",
    field: str,
) -> "Iterator[Any]":
    """Yield the items of all pages of a list. `field` is the field of the answer that has them."""
    while True:
        page = client.call(method, request)
        items = getattr(page, field)
        yield from items
        # A server that always answers a token must not keep this loop going.
        if not page.token or not items:
            return
        request.token = page.token
