"""What FlyteAdmin has already, asked for many entities at once by filters.

One list call a resource type tells which of the wanted versions exist; another one tells the latest
version of those that do not. Nothing is remembered between registrations.
Source: flyteadmin `common/filters.go` (`value_in`), flyte-backend.md 1.9.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from flyteidl.admin.common_pb2 import (
    NamedEntityIdentifier,
    ObjectGetRequest,
    ResourceListRequest,
    Sort,
)

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.fetching import LISTS
from flyte_nb.wire.identifiers import identifier_to_idl

_FILTERABLE = re.compile(r"[\w./:@\-]+")
_AT_ONCE = 500  # names in one filter: some 20 kB, far below gRPC's limit
_PAGES = 4  # of history; who has more versions than that is told less about why


def existing(client: AdminClient, wanted: "Sequence[Identifier]") -> "set[Identifier]":
    """Those of `wanted` that are registered.

    Raises:
        RemoteError: FlyteAdmin refused.
    """
    found: set[Identifier] = set()
    lists: list[tuple[str, str, ResourceListRequest]] = []
    for resource_type, ids in _by_type(wanted).items():
        list_method, field, get_method = LISTS[resource_type]
        plain = [id for id in ids if _FILTERABLE.fullmatch(id.name)]
        lists.extend(
            (list_method, field, _request(some, versions=True, limit=len(some) + 1))
            for some in _chunks(plain)
        )
        for id in ids:
            if not _FILTERABLE.fullmatch(id.name) and _is_there(client, get_method, id):
                found.add(id)
    by_name = {(id.resource_type, id.name, id.version): id for id in wanted}
    for resource_type, item in _items(client, lists):
        match = by_name.get((resource_type, item.id.name, item.id.version))
        if match is not None:
            found.add(match)
    return found


def latest(client: AdminClient, wanted: "Sequence[Identifier]") -> "dict[tuple[str, str], Any]":
    """The newest registered version of each of these names, by resource type and name.

    Names that were never registered are missing; so are, rarely, names behind more history than is
    read.

    Raises:
        RemoteError: FlyteAdmin refused.
    """
    found: dict[tuple[str, str], Any] = {}
    for resource_type, ids in _by_type(wanted).items():
        list_method, field, _ = LISTS[resource_type]
        plain = [id for id in ids if _FILTERABLE.fullmatch(id.name)]
        for some in _chunks(plain):
            missing = {id.name for id in some}
            request = _request(some, versions=False, limit=max(100, 2 * len(some)))
            for _ in range(_PAGES):
                page = client.call(list_method, request, doing="Listing what is registered")
                for item in getattr(page, field):
                    found.setdefault((resource_type, item.id.name), item)
                    missing.discard(item.id.name)
                if not missing or not page.token:
                    break
                request.token = page.token
    return found


def _request(ids: "Sequence[Identifier]", *, versions: bool, limit: int) -> ResourceListRequest:
    filters = [_one_of("name", (id.name for id in ids))]
    if versions:
        filters.append(_one_of("version", (id.version for id in ids)))
    return ResourceListRequest(
        id=NamedEntityIdentifier(project=ids[0].project, domain=ids[0].domain),
        limit=limit,
        filters="+".join(filters),
        sort_by=Sort(key="created_at", direction=Sort.DESCENDING),
    )


def _one_of(column: str, values: "Iterable[str]") -> str:
    several = sorted(set(values))
    if len(several) == 1:
        return f"eq({column},{several[0]})"
    return f"value_in({column},{';'.join(several)})"


def _items(
    client: AdminClient, lists: "list[tuple[str, str, ResourceListRequest]]"
) -> "Iterable[tuple[str, Any]]":
    for list_method, field, request in lists:
        while True:
            page = client.call(list_method, request, doing="Listing what is registered")
            for item in getattr(page, field):
                yield _resource_type(field), item
            if not page.token or not getattr(page, field):
                break
            request.token = page.token


def _is_there(client: AdminClient, get_method: str, id: Identifier) -> bool:
    try:
        client.call(get_method, ObjectGetRequest(id=identifier_to_idl(id)))
    except RemoteError as error:
        if error.code == "NOT_FOUND":
            return False
        raise
    return True


def _by_type(ids: "Iterable[Identifier]") -> "dict[str, list[Identifier]]":
    grouped: dict[str, list[Identifier]] = {}
    for id in ids:
        grouped.setdefault(id.resource_type, []).append(id)
    return grouped


def _chunks(ids: "list[Identifier]") -> "Iterable[list[Identifier]]":
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _resource_type(field: str) -> str:
    return {"tasks": "task", "workflows": "workflow", "launch_plans": "launch_plan"}[field]
