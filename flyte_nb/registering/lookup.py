"""Find registered entities that specs refer to: by filtered lists, not one call for each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from flyteidl.admin.common_pb2 import ObjectGetRequest

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import WORKFLOW, Identifier
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Lookup
from flyte_nb.registering import registered

Key = TypeVar("Key")


def by_place(
    list_call: "Callable[[AdminClient, Sequence[Identifier]], dict[Key, Any]]",
    client: AdminClient,
    ids: "Sequence[Identifier]",
) -> "dict[Key, Any]":
    """Return the merged answers of `list_call`, made once for each project and domain among `ids`.

    FlyteAdmin's lists and filters cover one project and domain.

    Args:
        list_call: `registered.existing` or `registered.latest`.
        client: Calls FlyteAdmin.
        ids: Identifiers of any projects and domains.
    """
    places: dict[tuple[str, str], list[Identifier]] = {}
    for id in ids:
        places.setdefault((id.project, id.domain), []).append(id)
    found: dict[Key, Any] = {}
    for some in places.values():
        found.update(list_call(client, some))
    return found


def lookup_in(client: AdminClient) -> Lookup:
    """Return a `Lookup` that asks this FlyteAdmin. It raises `RemoteError` when FlyteAdmin refuses."""

    def find(wanted: "Sequence[Identifier]") -> "Mapping[Identifier, Any]":
        # A spec may refer to a version, or to whatever version is the newest.
        named = [id for id in wanted if id.name]
        found = by_place(registered.existing, client, [id for id in named if id.version])
        open_ids = [id for id in named if not id.version]
        newest = by_place(_newest, client, open_ids)
        found.update((id, newest[id]) for id in open_ids if id in newest)
        return _whole(client, found)

    return find


def _newest(client: AdminClient, ids: "Sequence[Identifier]") -> "dict[Identifier, Any]":
    found = registered.latest(client, ids)
    keys = {id: (id.resource_type, id.name) for id in ids}
    return {id: found[key] for id, key in keys.items() if key in found}


def _whole(client: AdminClient, found: "dict[Identifier, Any]") -> "dict[Identifier, Any]":
    """Return `found` with each workflow read once more: FlyteAdmin's lists leave out their closures."""
    workflows = [id for id in found if id.resource_type == WORKFLOW]
    requests = [ObjectGetRequest(id=found[id].id) for id in workflows]
    answers = client.call_all("GetWorkflow", requests)
    for id, answer in zip(workflows, answers, strict=True):
        if isinstance(answer, RemoteError):
            raise answer
        found[id] = answer
    return found
