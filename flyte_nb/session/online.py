"""What a session does with FlyteAdmin: register, launch, fetch, and find executions and staged bundles.

The module is imported when it is first needed: it loads gRPC and the rooms that register and follow, which
neither `wf(n=3)` nor connecting needs.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import ExecutionId, Scope
from flyte_nb.api.ports import Entity
from flyte_nb.api.specs import TypedInterface
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.fetching import (
    Launchable,
    Registered,
    defined_interface,
    fetch,
    find_launchable,
    with_defaults,
)
from flyte_nb.discovery.here import Here
from flyte_nb.discovery.names import NotebookName
from flyte_nb.drafting.draft import Draft
from flyte_nb.executions.execution import Execution
from flyte_nb.executions.launching import start_defined, start_registered
from flyte_nb.executions.listing import executions, status
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.executions.views import ExecutionView
from flyte_nb.registering.bundle_view import Bundle, bundle_view
from flyte_nb.registering.place import Place, drafts_for
from flyte_nb.registering.register import (
    EntityListener,
    UploadListener,
    register,
)
from flyte_nb.registering.staged import StagedBundles
from flyte_nb.registering.staging_places import Baked, data_for, place_for
from flyte_nb.registering.views import Registration
from flyte_nb.sdk.entity import Definition
from flyte_nb.session.connection import Connection
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import Registry


class SessionSettings(Protocol):
    """What a session is set to. It is read at every call, because a person may change it."""

    project: str
    domain: str
    registry: Registry
    baked: "Baked | None"
    client: AdminClient

    @property
    def label(self) -> str:
        """What a person calls the FlyteAdmin."""
        ...

    @property
    def endpoint(self) -> str:
        """`host:port` of the FlyteAdmin."""
        ...

    @property
    def notebook(self) -> NotebookName:
        """The notebook's name, and where it comes from."""
        ...

    @property
    def scope(self) -> Scope:
        """Project, domain and the notebook's name as they are now."""
        ...


class Online:
    """Carries out for one session what needs FlyteAdmin. Thread-safe."""

    def __init__(self, settings: SessionSettings, connection: Connection, here: Here) -> None:
        """Share a session's parts.

        Args:
            settings: The session.
            connection: The session's FlyteAdmin.
            here: The notebook, with the folders whose modules travel.
        """
        self._settings = settings
        self._connection = connection
        self._client = connection.client
        self._here = here
        self._lock = threading.Lock()
        self._context: SessionContext | None = None

    def register(
        self,
        entities: "Sequence[Entity]",
        *,
        on_progress: "EntityListener | None" = None,
        on_upload: "UploadListener | None" = None,
        dry_run: bool = False,
        restage: bool = False,
    ) -> Registration:
        """Register entities and all they use; for arguments and errors see `Session.register`."""
        self._here.settle(entities)
        return register(
            self._client,
            self.place(entities),
            entities,
            on_progress=on_progress,
            on_upload=on_upload,
            dry_run=dry_run,
            restage=restage,
        )

    def drafts(self, entities: "Sequence[Entity]") -> "list[Draft]":
        """Return the entities and all they use as they would be registered."""
        return drafts_for(self.place(entities), entities)

    def bundle(self, entities: "Sequence[Entity]") -> Bundle:
        """Return what would travel with the tasks that the entities use, and why."""
        return bundle_view(self._client, self.place(entities), entities, open_stores())

    def staged_bundles(self) -> StagedBundles:
        """Return the bundles that are staged where this session would stage."""
        place = self.place([])
        return StagedBundles(self._client, open_stores(), place.bundles, objects=self.context.data)

    def launch(
        self,
        entity: Launchable,
        inputs: "Mapping[str, Any]",
        *,
        version: "str | None",
        name: "str | None",
    ) -> Execution:
        """Start an execution; for errors see `Session.launch`.

        Args:
            entity: What to launch.
            inputs: Python values by name.
            version: A registered version; `None` takes what is defined here, or the latest of a name.
            name: The execution's name; `None` makes one up.
        """
        given = dict(inputs)
        if version is None and isinstance(entity, Definition):
            return start_defined(
                self.context,
                entity,
                given,
                scope=self._settings.scope,
                register=lambda: self.register([entity]),
                name=name,
            )
        found = find_launchable(self._client, self._settings.scope, entity, version)
        return start_registered(self.context, found, given, name=name)

    def execution(self, name: str) -> Execution:
        """Return an execution by its name, or by `project:domain:name`, without reading it.

        Raises:
            UsageError: `name` is empty, or has another number of parts.
        """
        own = [self._settings.project, self._settings.domain]
        parts = name.split(":") if ":" in name else [*own, name]
        if not name or len(parts) != 3:
            raise UsageError(f"{name!r} names no execution. Write its name, e.g. 'f3kq0…'.")
        return Execution(ExecutionId(*parts), self.context)

    def executions(self, limit: int) -> "list[ExecutionView]":
        """Return the latest executions of the project and domain, newest first, without their nodes."""
        return executions(self._client, self._settings.project, self._settings.domain, limit)

    def fetch(self, resource_type: str, name: str, version: "str | None") -> Registered:
        """Return a registered entity; the latest version when `version` is `None`."""
        return fetch(self._client, self._settings.scope, resource_type, name, version)

    def interface(self, entity: Launchable) -> "tuple[TypedInterface, dict[str, Any]]":
        """Return inputs and outputs of an entity, and the defaults of its inputs as Python values."""
        if isinstance(entity, Definition):
            return defined_interface(entity, self._settings.registry)
        found = find_launchable(self._client, self._settings.scope, entity, None)
        return with_defaults(found, self._settings.registry, self.context.data)

    def status(self) -> "dict[str, Any]":
        """Return where the session goes, and whether FlyteAdmin answers."""
        return status(self._settings, self._connection.backend, self._connection.config)

    @property
    def context(self) -> SessionContext:
        """What the executions of this session share; made when it is first needed."""
        with self._lock:
            if self._context is None:
                data = data_for(
                    self._client,
                    self._settings.project,
                    self._settings.domain,
                    root=self._connection.storage_root,
                    env=os.environ,
                    roots=self._here.roots,
                )
                self._context = SessionContext(
                    client=self._client,
                    registry=self._settings.registry,
                    data=data,
                    lend=self._connection.own_calls.lend,
                )
            return self._context

    def close(self) -> None:
        """Remove the files that were downloaded; what is used again is downloaded again."""
        with self._lock:
            context, self._context = self._context, None
        if context is not None:
            context.data.close()

    def place(self, entities: "Sequence[Entity]") -> Place:
        """Return where the entities' bundles are staged: in an image's folder when the session bakes."""
        place = place_for(
            self._settings.scope,
            self._settings.registry,
            os.environ,
            self.context.data,
            root=self._connection.storage_root,
            roots=self._here.roots(entities),
        )
        place = place._replace(keep=self._connection.own_calls.keep)
        baked = self._settings.baked
        return baked.instead_of(place) if baked is not None else place
