"""Which staged bundles the registered tasks of a FlyteAdmin name: in every project and domain."""

import re
from collections.abc import Iterator
from typing import Any

from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.project_pb2 import ProjectListRequest

from flyte_nb.client.admin_client import AdminClient

_INDEX = re.compile(r"\S*index-([0-9a-f]{64})\.json")
_PAGE = 200


def needed_indexes(client: AdminClient) -> "dict[str, list[str]]":
    """Who names which index: by the index's digest, `name (version)` of every such task.

    Raises:
        RemoteError: FlyteAdmin cannot be reached or refused; then nothing is known.
    """
    return {digest: names for digest, (names, _) in _found(client).items()}


def locations(client: AdminClient) -> "list[str]":
    """The folders in which the indexes of registered tasks lie, sorted.

    Raises:
        RemoteError: FlyteAdmin cannot be reached or refused.
    """
    return sorted({uri.rpartition("/")[0] for _, uris in _found(client).values() for uri in uris})


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
