"""Staged bundles, and which of them the registered tasks of a FlyteAdmin name, in every project."""

import re
import time
from collections.abc import Iterator
from typing import Any

from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.project_pb2 import ProjectListRequest

from flyte_nb.api.ports import GRACE_S, BlobStore
from flyte_nb.bundle.inventory import (
    Damage,
    Inventory,
    Looks,
    Plan,
    Removal,
    StoredIndex,
    collect,
    inventory,
    plan,
    stored_index,
    verify,
)
from flyte_nb.bundle.looking import look
from flyte_nb.client.admin_client import AdminClient

_INDEX = re.compile(r"\S*index-([0-9a-f]{64})\.json")
_PAGE = 200


class StagedBundles:
    """The bundles at one or more locations, seen by what is registered.

    Args:
        client: the FlyteAdmin whose tasks need them.
        store: reads and removes objects, with this process's own credentials.
        own: the location that belongs to FlyteAdmin, where it is a folder of this machine.
        objects: looks at objects, also where this process has no credentials; default: `store`.
    """

    def __init__(
        self, client: AdminClient, store: BlobStore, own: str = "", objects: "Looks | None" = None
    ) -> None:
        self._client = client
        self._store = store
        self._own = own
        self._objects: Looks = objects if objects is not None else store

    def __repr__(self) -> str:
        return (
            "<staged bundles: .locations(), .referred(), .held(location), .verify(), .check(),"
            " .plan(location),"
            " .collect(location, plan)>"
        )

    def locations(self) -> "list[str]":
        """The backend's own location, else the folders in which registered tasks have their indexes.

        Raises:
            RemoteError: FlyteAdmin cannot be reached or refused.
        """
        if self._own:
            return [self._own]
        found = _found(self._client).values()
        return sorted({uri.rpartition("/")[0] for _, uris in found for uri in uris})

    def referred(self) -> "dict[str, list[str]]":
        """Who names which index: by the index's digest, `name (version)` of every such task.

        Raises:
            RemoteError: FlyteAdmin cannot be reached or refused; then nothing is known.
        """
        return {digest: sorted(names) for digest, (names, _) in _found(self._client).items()}

    def held(self, location: str) -> Inventory:
        """What lies at the location. Raises `StorageError`."""
        return inventory(self._store, location)

    def verify(self, *locations: str) -> "tuple[list[Damage], int]":
        """Read every member again; what is damaged or missing, and how many objects are whole.

        Args:
            *locations: folders of bundles, or single indexes; default: `locations()`.

        Raises:
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
        """Look whether bundles are there in full length; return what is not, and how many objects are.

        No member is read, and no credentials for the store are needed where FlyteAdmin signs URLs.

        Args:
            *index_uris: single indexes; default: those that registered tasks name.

        Raises:
            RemoteError: FlyteAdmin cannot be reached, or signs no URLs.
            StorageError: a store does not say what lies there.
        """
        named = index_uris or sorted({u for _, uris in _found(self._client).values() for u in uris})
        return look(self._objects, named)

    def plan(self, location: str, *, min_age_s: float = GRACE_S) -> Plan:
        """What no registered task needs; nothing is removed.

        Raises:
            BundleError: an index that stays cannot be read, so that what it needs is not known.
            RemoteError: FlyteAdmin cannot be asked.
        """
        held = self.held(location)  # first: who registers after it is asked about after it
        return plan(held, self.referred(), now_s=time.time(), min_age_s=min_age_s)

    def collect(self, location: str, planned: Plan) -> "list[Removal]":
        """Remove what was planned, but for what came to be needed or was used since."""
        return collect(self._store, planned, location, self.referred())


def index_uri_in(task: Any) -> str:
    """Return where the bundle's index of a registered task is; an empty text when it has none."""
    for argument in _arguments(task.closure.compiled_task.template):
        match = _INDEX.search(argument)
        if match is not None:
            return match[0]
    return ""


def _found(client: AdminClient) -> "dict[str, tuple[list[str], set[str]]]":
    found: dict[str, tuple[list[str], set[str]]] = {}
    for task in _tasks(client):
        for argument in _arguments(task.closure.compiled_task.template):
            match = _INDEX.search(argument)
            if match is not None:
                names, uris = found.setdefault(match[1], ([], set()))
                names.append(f"{task.id.name} ({task.id.version})")
                uris.add(match[0])
    return found


def _arguments(template: Any) -> "Iterator[str]":
    yield from template.container.command
    yield from template.container.args
    if template.HasField("k8s_pod"):
        for container in template.k8s_pod.pod_spec.fields["containers"].list_value.values:
            for name in ("command", "args"):
                for item in container.struct_value.fields[name].list_value.values:
                    yield item.string_value


def _tasks(client: AdminClient) -> "Iterator[Any]":
    """Every version of every registered task."""
    for project in _paged(client, "ListProjects", ProjectListRequest(limit=_PAGE), "projects"):
        for domain in project.domains:
            place = NamedEntityIdentifier(project=project.id, domain=domain.id)
            request = ResourceListRequest(id=place, limit=_PAGE)
            yield from _paged(client, "ListTasks", request, "tasks")


def _paged(client: AdminClient, method: str, request: Any, field: str) -> "Iterator[Any]":
    while True:
        page = client.call(method, request)
        items = getattr(page, field)
        yield from items
        if not page.token or not items:
            return
        request.token = page.token
