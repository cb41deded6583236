"""List the latest executions, and describe the state of a session and of its FlyteAdmin."""

from typing import Any, Protocol

from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest, Sort
from flyteidl.admin.launch_plan_pb2 import ACTIVE
from flyteidl.admin.version_pb2 import GetVersionRequest

from flyte_nb.api.errors import RemoteError
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.config import Config
from flyte_nb.executions.assembly import Assembly
from flyte_nb.executions.views import ExecutionView

_MAX_SCHEDULES = 5
"""Schedules that a notice names."""


def executions(client: AdminClient, project: str, domain: str, limit: int) -> "list[ExecutionView]":
    """Return at most `limit` executions, the newest first, without their nodes.

    FlyteAdmin cuts error messages in lists to 100 bytes.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    page = client.call(
        "ListExecutions",
        ResourceListRequest(
            id=NamedEntityIdentifier(project=project, domain=domain),
            limit=limit,
            sort_by=Sort(key="created_at", direction=Sort.DESCENDING),
        ),
        doing="Listing executions",
    )
    # A list has no nodes, so each view is made of the execution's own message alone.
    views = []
    for message in page.executions:
        assembly = Assembly()
        assembly.apply(message)
        view = assembly.view(0)
        if view is not None:
            views.append(view)
    return views


def health(client: AdminClient) -> "dict[str, Any]":
    """Return whether FlyteAdmin answers (`answers`), with its `version` or the `error`."""
    try:
        answer = client.call("GetVersion", GetVersionRequest())
    except RemoteError as error:
        return {"answers": False, "error": error.message}
    return {"answers": True, "version": answer.control_plane_version.Version}


def schedules(client: AdminClient, project: str, domain: str) -> "dict[str, Any]":
    """Return a notice (`schedules`) about active schedules of the local backend, which starts none of them.

    Without an active schedule, nothing is returned.
    """
    request = ResourceListRequest(
        id=NamedEntityIdentifier(project=project, domain=domain),
        limit=_MAX_SCHEDULES,
        filters=f"eq(state,{ACTIVE})+value_in(schedule_type,CRON;RATE)",
    )
    try:
        page = client.call("ListLaunchPlans", request, doing="Listing schedules")
    except RemoteError as error:
        return {"schedules": error.message}
    names = ", ".join(plan.id.name for plan in page.launch_plans)
    more = " and others" if page.token else ""
    if not names:
        return {}
    return {
        "schedules": f"active, but nothing starts: {names}{more}. The local backend has no scheduler"
        " yet; launch them yourself, or register them on a Flyte cluster."
    }


class _Notebook(Protocol):
    """A notebook's name, and what it was taken from."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...


class _Backend(Protocol):
    """The part of the local backend's description that `status` shows. Its class is on a higher floor."""

    @property
    def home(self) -> object: ...
    @property
    def pid(self) -> int: ...
    @property
    def config_file(self) -> object: ...
    @property
    def notice(self) -> str: ...


class _Connected(Protocol):
    """The part of a session that `status` shows. Its class is on a higher floor."""

    @property
    def label(self) -> str: ...
    @property
    def notebook(self) -> _Notebook: ...

    @property
    def endpoint(self) -> str: ...

    project: str
    domain: str
    client: AdminClient


def status(
    session: _Connected, backend: "_Backend | None", config: "Config | None"
) -> "dict[str, Any]":
    """Return which FlyteAdmin a session uses, and whether that one answers.

    Args:
        session: The session.
        backend: The local backend, when the session uses it; else `None`.
        config: The configuration that names a cluster; `None` without one.
    """
    known: dict[str, Any] = {
        "backend": session.label,
        "endpoint": session.endpoint,
        "project": session.project,
        "domain": session.domain,
        "notebook": session.notebook.name,
        "named_by": session.notebook.source,
        **health(session.client),
    }
    if backend is not None and known["answers"]:
        known |= schedules(session.client, session.project, session.domain)
    if backend is not None:
        known |= {"home": str(backend.home), "pid": backend.pid}
        known["config_file"] = str(backend.config_file)
        if backend.notice:
            known["notice"] = backend.notice
    if config is not None:
        known["configured_by"] = config.source
    return known
