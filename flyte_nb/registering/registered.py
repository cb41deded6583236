"""Ask FlyteAdmin what is registered already, for many entities at once, by filtered lists.

One list call for each resource type finds which of the wanted versions exist (`existing`). Another one finds
the latest version of the others (`latest`). Nothing is kept between registrations: another session may have
registered or removed anything in the meantime.

Answers are flyteidl's `Task`, `Workflow` or `LaunchPlan`. The three have `id` in common and different
closures, and the resource type in the key says which one it is; so they are typed `Any`.

Source: flyteadmin `pkg/common/filters.go` (`eq`, `value_in`) at v1.16.8.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

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
"""Names that a filter can have. FlyteAdmin's filters have no quotes, and split at `+`, `,`, `;` and `(`."""
_AT_ONCE = 500
"""Names in one filter. They have some 20 kB, far below gRPC's limit of 4 MB."""
_PAGES = 6
"""Pages of history that are read for the latest versions. A name that is not found in them is reported as
new; only the reason that a person reads is wrong then."""
_RESOURCE_TYPES = {field: resource_type for resource_type, (_, field, _) in LISTS.items()}
"""Resource types by the field of a list's answer."""


def existing(client: AdminClient, wanted: "Sequence[Identifier]") -> "dict[Identifier, Any]":
    """Return those of `wanted` that are registered: flyteidl's `Task`, `Workflow` or `LaunchPlan` by id.

    Args:
        client: Calls FlyteAdmin.
        wanted: Identifiers with versions, all of one project and domain.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    found: dict[Identifier, Any] = {}
    lists: list[_List] = []
    for resource_type, ids in _by_type(wanted).items():
        list_method, field, get_method = LISTS[resource_type]
        plain = [id for id in ids if _FILTERABLE.fullmatch(id.name)]
        lists.extend(
            _List(list_method, field, _request(some, versions=True, limit=len(some) + 1))
            for some in _chunks(plain)
        )
        for id in ids:
            if not _FILTERABLE.fullmatch(id.name):
                item = _one(client, get_method, id)
                if item is not None:
                    found[id] = item
    # The filter takes names and versions separately, so a list may have a name in another one's version.
    by_name = {(id.resource_type, id.name, id.version): id for id in wanted}
    for field, item in _items(client, lists):
        match = by_name.get((_RESOURCE_TYPES[field], item.id.name, item.id.version))
        if match is not None:
            found[match] = item
    return found


def latest(client: AdminClient, wanted: "Sequence[Identifier]") -> "dict[tuple[str, str], Any]":
    """Return the latest registered version of each of these names, by resource type and name.

    Names that were never registered are left out. So are names that filters cannot have, and, rarely,
    names whose latest version comes after more history of the other names than is read.

    Args:
        client: Calls FlyteAdmin.
        wanted: Identifiers, whose versions are ignored; all of one project and domain.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    found: dict[tuple[str, str], Any] = {}
    lists = []
    missing: dict[str, set[str]] = {}
    for resource_type, ids in _by_type(wanted).items():
        list_method, field, _ = LISTS[resource_type]
        plain = [id for id in ids if _FILTERABLE.fullmatch(id.name)]
        missing[field] = {id.name for id in plain}
        for some in _chunks(plain):
            # The list is sorted by time, so a name that changed often has several rows before the first
            # row of another. A quarter more rows than names is enough for most projects' first page.
            request = _request(some, versions=False, limit=max(20, len(some) + len(some) // 4))
            lists.append(_List(list_method, field, request))
    for field, item in _items(client, lists, lambda field: bool(missing[field]), pages=_PAGES):
        found.setdefault((_RESOURCE_TYPES[field], item.id.name), item)  # the first is the newest
        missing[field].discard(item.id.name)
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


class _List(NamedTuple):
    """One list call, for its next page."""

    method: str
    field: str
    """The field of the answer that has the items."""
    request: ResourceListRequest


def _items(
    client: AdminClient,
    lists: "list[_List]",
    is_wanted: "Callable[[str], bool]" = lambda field: True,
    *,
    pages: "int | None" = None,
) -> "Iterator[tuple[str, Any]]":
    """Yield field and item of every list, page by page: all first pages at once, then all second ones.

    Args:
        client: Calls FlyteAdmin.
        lists: The calls. Their requests are changed: they get the token of the next page.
        is_wanted: Returns whether more pages of a field's list are needed.
        pages: How many pages are read at most; `None` reads all.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    while lists and pages != 0:
        calls = [(each.method, each.request) for each in lists]
        doing = ["Listing what is registered"] * len(calls)
        following = []
        for each, page in zip(lists, list(client.call_each(calls, doing=doing)), strict=True):
            if isinstance(page, RemoteError):
                raise page
            items = getattr(page, each.field)
            for item in items:
                yield each.field, item
            if page.token and items and is_wanted(each.field):
                each.request.token = page.token
                following.append(each)
        lists = following
        pages = None if pages is None else pages - 1


def _one(client: AdminClient, get_method: str, id: Identifier) -> "Any | None":
    """Return one registered entity; `None` when there is none."""
    try:
        return client.call(get_method, ObjectGetRequest(id=identifier_to_idl(id)))
    except RemoteError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def _by_type(ids: "Iterable[Identifier]") -> "dict[str, list[Identifier]]":
    grouped: dict[str, list[Identifier]] = {}
    for id in ids:
        grouped.setdefault(id.resource_type, []).append(id)
    return grouped


def _chunks(ids: "list[Identifier]") -> "Iterable[list[Identifier]]":
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
