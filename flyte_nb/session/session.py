"""The place where the parts are put together: a connection, a project, and where things are named.

Only here the client meets the local backend's launcher. Heavy rooms are imported when first needed:
`wf(n=3)` in a fresh kernel loads neither gRPC nor the backend.
"""

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, ExecutionId, Scope
from flyte_nb.api.specs import TypedInterface
from flyte_nb.discovery.entities import check_entity
from flyte_nb.sdk.entity import Definition
from flyte_nb.session.defaults import Defaults, new_runner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import Registry

if TYPE_CHECKING:
    from flyte_nb.admin.daemon import BackendInfo
    from flyte_nb.api.ports import Entity
    from flyte_nb.client.channel import Target
    from flyte_nb.client.config import Config
    from flyte_nb.client.fetching import Launchable, Registered
    from flyte_nb.discovery.here import Here
    from flyte_nb.discovery.names import NotebookName
    from flyte_nb.discovery.notebook import Missing
    from flyte_nb.drafting.compiling import Compiled
    from flyte_nb.drafting.draft import Draft
    from flyte_nb.drafting.compile_report import CompileReport
    from flyte_nb.executions.execution import Execution
    from flyte_nb.executions.session_context import SessionContext
    from flyte_nb.executions.views import ExecutionView
    from flyte_nb.graph.picture import GraphPicture
    from flyte_nb.registering.bundle_view import Bundle
    from flyte_nb.registering.place import Place
    from flyte_nb.registering.register import EntityListener, UploadListener
    from flyte_nb.registering.staged import StagedBundles
    from flyte_nb.registering.staging_places import Baked
    from flyte_nb.registering.views import Registration
    from flyte_nb.session.local_runner import LocalRunner

AUTO, LOCAL = "auto", "local"

_PROJECT, _DOMAIN = "flytesnacks", "development"


class Session:
    """A connection to one FlyteAdmin, with a project, a domain and a notebook's name."""

    def __init__(
        self,
        config: "Config | None",
        *,
        project: str,
        domain: str,
        name: "str | None",
        registry: Registry,
        home: "Path | None" = None,
    ) -> None:
        """Made by `connect()`. `config=None` means the local backend of `home`."""
        from flyte_nb.client.admin_client import AdminClient
        from flyte_nb.client.channel import Link
        from flyte_nb.registering.local_backend import own_calls

        self.project, self.domain = project, domain
        self.registry = registry
        self._config, self._home = config, home
        self._backend: BackendInfo | None = None
        self._target: Target | None = None
        self._here, self._lock = _here(name), threading.RLock()
        self._own = own_calls(config)
        self._context: SessionContext | None = None
        self._link: Link = Link(self._locate)
        self.client = AdminClient(self._link)
        """Every RPC by name, e.g. `session.client.call("GetVersion", …)`."""
        self.endpoint = self.client.endpoint
        self._runner: LocalRunner | None = None
        self.baked: Baked | None = None
        """Set it to register bundles that an image will hold, in place of uploading them."""

    def __repr__(self) -> str:
        return f"<session with {self.label}, {self.project}/{self.domain}>"

    @property
    def is_local(self) -> bool:
        """Whether it is the local backend."""
        return self._config is None

    @property
    def label(self) -> str:
        """What a person calls the other side."""
        return "local backend" if self.is_local else self.endpoint

    @property
    def scope(self) -> Scope:
        """Where entities are named now."""
        return Scope(self.project, self.domain, self.notebook.name)

    @property
    def notebook(self) -> "NotebookName":
        """The notebook's name, and where it comes from."""
        return self._here.notebook

    @property
    def runner(self) -> "LocalRunner":
        """Who runs `wf(n=3)` here."""
        with self._lock:
            if self._runner is None:
                self._runner = new_runner(self.registry, lambda: self.scope)
            return self._runner

    def register(
        self,
        *entities: "Entity",
        on_progress: "EntityListener | None" = None,
        on_upload: "UploadListener | None" = None,
        dry_run: bool = False,
        restage: bool = False,
    ) -> "Registration":
        """Register entities and all they use; without arguments, everything the notebook defines.

        Args:
            *entities: Tasks, workflows, launch plans.
            on_progress: Called with each entity (`RegisteredEntity`) when its fate is known.
            on_upload: Called with a `StagingProgress` whenever one more object is stored.
            dry_run: Only say what would be done.
            restage: Look also at the staged code of what is registered already, and stage again what is
                missing or damaged.

        Raises:
            RegistrationFailed: something does not compile, cannot be packed, or was refused.
            RemoteError: FlyteAdmin cannot be reached.
            UsageError: there is nothing to register, or several notebooks may be this one.
        """
        from flyte_nb.registering.register import register

        chosen = list(entities) or self.discover()
        if not chosen:
            raise UsageError("Nothing to register: define a task or workflow here, or pass one.")
        check_entity(*chosen)
        self._here.settle(chosen)
        place = self._place(chosen)
        return register(
            self.client,
            place,
            chosen,
            on_progress=on_progress,
            on_upload=on_upload,
            dry_run=dry_run,
            restage=restage,
        )

    def discover(self) -> "list[Entity]":
        """What the notebook (or the script) defines now, and what installed registrars find."""
        return self._here.load()

    def missing(self) -> "list[Missing]":
        """Definitions that are gone from the notebook: still used, or known from before."""
        return self._here.missing(self.registry, self.scope)

    def renamed(self) -> "str | None":
        """The notebook's new name when its file was renamed while this kernel ran, else `None`."""
        return self._here.renamed()

    def launch(
        self,
        entity: "Launchable",
        inputs: "Mapping[str, Any] | None" = None,
        *,
        version: "str | None" = None,
        execution_name: "str | None" = None,
    ) -> "Execution":
        """Start an execution; what is defined here is registered first, where it changed.

        Args:
            entity: A workflow, launch plan or task; what `fetch_*` gave; or a registered name.
            inputs: Python values by name.
            version: A registered version to launch; `None` takes what is defined here now, or the
                latest one of a name.
            execution_name: Made up when `None`.

        Raises:
            CompileFailed: inputs are missing, unknown or of another type; it names every one.
            RegistrationFailed: the entity does not compile or cannot be packed.
            RemoteError: FlyteAdmin refused, or there is no such name.
        """
        from flyte_nb.client.fetching import find_launchable
        from flyte_nb.executions.launching import start_defined, start_registered

        given = dict(inputs or {})
        context = self._shared()
        if version is None and isinstance(entity, Definition):
            return start_defined(
                context,
                entity,
                given,
                scope=self.scope,
                register=lambda: self.register(entity),
                name=execution_name,
            )
        found = find_launchable(self.client, self.scope, entity, version)
        return start_registered(context, found, given, name=execution_name)

    def execution(self, name: str) -> "Execution":
        """An execution by name, or by `project:domain:name`; nothing is read yet."""
        from flyte_nb.executions.execution import Execution

        parts = name.split(":") if ":" in name else [self.project, self.domain, name]
        if not name or len(parts) != 3:
            raise UsageError(f"{name!r} names no execution. Write its name, e.g. 'f3kq0…'.")
        return Execution(ExecutionId(*parts), self._shared())

    def executions(self, limit: int = 20) -> "list[ExecutionView]":
        """The latest executions of the project and domain, newest first, without their nodes."""
        from flyte_nb.executions.listing import executions

        return executions(self.client, self.project, self.domain, limit)

    def fetch_task(self, name: str, version: "str | None" = None) -> "Registered":
        """A registered task; the latest version when none is given. Raises `RemoteError`."""
        return self._fetch(TASK, name, version)

    def fetch_workflow(self, name: str, version: "str | None" = None) -> "Registered":
        """A registered workflow; the latest version when none is given. Raises `RemoteError`."""
        return self._fetch(WORKFLOW, name, version)

    def fetch_launch_plan(self, name: str, version: "str | None" = None) -> "Registered":
        """A registered launch plan; the latest version when none is given. Raises `RemoteError`."""
        return self._fetch(LAUNCH_PLAN, name, version)

    def compile(self, entity: "Entity") -> "Compiled":
        """The entity as the compiler sees it: its closure, or every problem. Sends nothing."""
        from flyte_nb.drafting.compiling import compile_entity

        check_entity(entity)
        return compile_entity(entity, self.scope, self.registry, data=self.runner.data)

    def graph(self, entity: "Launchable", **options: Any) -> "GraphPicture":
        """The graph of an entity, of what `fetch_*` gave, or of a registered workflow's name.

        Takes the options of `Workflow.graph`, and raises what that does.
        """
        from flyte_nb.session.pictures import picture

        return picture(self, entity, **options)

    def versioned(self, entity: "Entity") -> "list[Draft]":
        """The entity and all it uses as they would be registered. Sends nothing."""
        from flyte_nb.registering.place import drafts_for

        return drafts_for(self._place([entity]), [entity])

    def compile_all(self, *entities: "Entity") -> "CompileReport":
        """Several compiled together, with all they use; specs may be among them. Sends nothing."""
        from flyte_nb.drafting.compile_report import compile_all

        check_entity(*entities)
        return compile_all(entities, self.scope, self.registry, data=self.runner.data)

    def interface(self, entity: "Launchable") -> "tuple[TypedInterface, dict[str, Any]]":
        """Inputs and outputs of an entity or a registered name, and the inputs' defaults."""
        from flyte_nb.client.fetching import defined_interface, find_launchable, with_defaults

        if isinstance(entity, Definition):
            return defined_interface(entity, self.registry)
        found = find_launchable(self.client, self.scope, entity, None)
        return with_defaults(found, self.registry, self._shared().data)

    def bundle(self, *entities: "Entity") -> "Bundle":
        """What travels with the tasks that the entities use (default: all), and why. Sends nothing."""
        from flyte_nb.registering.bundle_view import bundle_view

        chosen = list(entities) or self.discover()
        check_entity(*chosen)
        return bundle_view(self.client, self._place(chosen), chosen, open_stores())

    @property
    def bundles(self) -> "StagedBundles":
        """Staged bundles: what is stored, whether it is whole, what nobody needs any more."""
        from flyte_nb.registering.staged import StagedBundles

        place = self._place([])
        return StagedBundles(self.client, open_stores(), place.bundles, objects=self._shared().data)

    def answers(self) -> bool:
        """Whether it can be asked without starting anything: the local backend may not run."""
        if self._config is not None:
            return True
        from flyte_nb.admin import daemon

        return daemon.status(self._home) is not None

    def status(self) -> "dict[str, Any]":
        """Where this session goes, and whether somebody answers there."""
        from flyte_nb.executions.listing import status

        return status(self, self._backend, self._config)

    def close(self) -> None:
        """Close the connection and remove what was downloaded; the backend goes on."""
        self._link.close()
        with self._lock:
            context, self._context = self._context, None
        if context is not None:
            context.data.close()

    def _fetch(self, resource_type: str, name: str, version: "str | None") -> "Registered":
        from flyte_nb.client.fetching import fetch

        return fetch(self.client, self.scope, resource_type, name, version)

    def _shared(self) -> "SessionContext":
        from flyte_nb.executions.session_context import SessionContext
        from flyte_nb.registering.staging_places import data_for

        with self._lock:
            if self._context is None:
                at = self.client, self.project, self.domain
                root = self._backend.storage_root if self._backend is not None else ""
                data = data_for(*at, root=root, env=os.environ, roots=self._here.roots)
                self._context = SessionContext(self.client, self.registry, data, self._own.lend)
            return self._context

    def _place(self, entities: "list[Entity]") -> "Place":
        from flyte_nb.registering.staging_places import place_for

        data, roots = self._shared().data, self._here.roots(entities)
        root = self._backend.storage_root if self._backend is not None else ""
        place = place_for(self.scope, self.registry, os.environ, data, root=root, roots=roots)
        place = place._replace(keep=self._own.keep)
        return self.baked.instead_of(place) if self.baked is not None else place

    def _locate(self) -> "Target":
        """Where FlyteAdmin is now; the local backend is started when it does not run."""
        from flyte_nb.client.targets import configured_target, local_target

        with self._lock:
            if self._config is not None:
                if self._target is None:
                    self._target = configured_target(self._config, os.environ, self._link)
                return self._target
            from flyte_nb.admin import daemon

            self._backend = backend = daemon.ensure(self._home)
            self.endpoint = backend.endpoint
            self._own.say(backend.notice)
            return local_target(backend.endpoint, backend.token, str(backend.config_file))


_default = Defaults()


def connect(
    config: "str | Path | None" = None,
    *,
    project: "str | None" = None,
    domain: "str | None" = None,
    name: "str | None" = None,
    backend: str = AUTO,
    home: "Path | None" = None,
) -> Session:
    """Connect to FlyteAdmin, and make this the default session.

    Args:
        config: A Flyte configuration file; `None` looks where flytekit and flytectl look, and takes
            the local backend when there is none.
        project: Default: the configuration's, else `flytesnacks`.
        domain: Default: the configuration's, else `development`.
        name: The notebook's name; default: what the front end or the runner says. Empty where there
            is no notebook: then names are full names.
        backend: `auto`, or `local` for the local backend whatever is configured.
        home: The local backend's folder; default: `FLYTE_NB_HOME`, else the user's data folder.

    Raises:
        UsageError: the configuration cannot be read or names nothing.
        BackendError: the local backend cannot be started.
    """
    from flyte_nb.client.config import find, home_folder

    if backend not in (AUTO, LOCAL):
        raise UsageError(f"backend={backend!r}: write 'auto' or 'local'.")
    found = None
    if backend == AUTO and home is None:
        found = find(os.environ, home=home_folder(), path=config)
    session = Session(
        found,
        project=project or (found.project if found else "") or _PROJECT,
        domain=domain or (found.domain if found else "") or _DOMAIN,
        name=name,
        registry=_default.types(),
        home=home,
    )
    with _default.lock:
        _default.session = session
    return session


def default_session() -> Session:
    """The session of the last `connect()`; connects when there was none."""
    with _default.lock:
        return _default.session or connect()


def default_runner() -> "LocalRunner":
    """Who runs `wf(n=3)`: the default session's runner; needs no connection."""
    with _default.lock:
        session: Session | None = _default.session
        if session is not None:
            return session.runner
        if _default.runner is None:
            here = _here(None)
            _default.runner = new_runner(
                _default.types(), lambda: Scope(_PROJECT, _DOMAIN, here.notebook.name)
            )
        return _default.runner


def _here(name: "str | None") -> "Here":
    from flyte_nb.discovery.here import Here

    return Here(name, namespace=vars(sys.modules["__main__"]), env=os.environ)
