"""`Session` and `connect`: the place where the parts are put together.

`wf(n=3)` in a kernel without a session imports this module too, so it loads little by itself. The rest is
in modules that are imported when they are first needed: `connection` (gRPC, the local backend's launcher),
`online` (register, launch, follow), `offline` (compile and run here) and `pictures`.
"""

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Scope
from flyte_nb.api.specs import TypedInterface
from flyte_nb.discovery.entities import check_entity
from flyte_nb.discovery.here import Here
from flyte_nb.session.defaults import Defaults, new_offline
from flyte_nb.types.registry import Registry

if TYPE_CHECKING:
    from flyte_nb.api.ports import Entity
    from flyte_nb.client.config import Config
    from flyte_nb.client.fetching import Launchable, Registered
    from flyte_nb.discovery.names import NotebookName
    from flyte_nb.discovery.notebook import Missing
    from flyte_nb.drafting.compile_report import CompileReport
    from flyte_nb.drafting.compiling import Compiled
    from flyte_nb.drafting.draft import Draft
    from flyte_nb.executions.execution import Execution
    from flyte_nb.executions.views import ExecutionView
    from flyte_nb.graph.picture import GraphPicture
    from flyte_nb.registering.bundle_view import Bundle
    from flyte_nb.registering.register import EntityListener, UploadListener
    from flyte_nb.registering.staged import StagedBundles
    from flyte_nb.registering.staging_places import Baked
    from flyte_nb.registering.views import Registration
    from flyte_nb.session.local_runner import LocalRunner
    from flyte_nb.session.offline import Offline
    from flyte_nb.session.online import Online

AUTO, LOCAL = "auto", "local"
_PROJECT, _DOMAIN = "flytesnacks", "development"


class Session:
    """A connection to one FlyteAdmin, with a project, a domain and a notebook's name. Thread-safe."""

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
        """Connect; `connect()` calls this with what is configured.

        Args:
            config: The configured FlyteAdmin; `None` means the local backend of `home`.
            project: Where entities are registered.
            domain: Where entities are registered.
            name: The notebook's name; `None` finds it out, empty means that there is no notebook.
            registry: The types.
            home: The local backend's folder; `None` means the default one.

        Raises:
            BackendError: the local backend cannot be started.
        """
        # Loads gRPC and the local backend's launcher, which `wf(n=3)` without a session never needs.
        from flyte_nb.session.connection import Connection

        self.project, self.domain, self.registry = project, domain, registry
        self.baked: Baked | None = None
        """Set it to register bundles that an image will hold, in place of uploading them."""
        self._here = _here(name)
        self._lock = threading.Lock()
        self._online: Online | None = None
        self._offline: Offline | None = None
        self._connection = Connection(config, home)
        self.client = self._connection.client
        """Every RPC by name, e.g. `session.client.call("GetVersion", …)`."""

    def __repr__(self) -> str:
        return f"<session with {self.label}, {self.project}/{self.domain}>"

    @property
    def is_local(self) -> bool:
        """Whether it is the local backend."""
        return self._connection.config is None

    @property
    def endpoint(self) -> str:
        """`host:port` of the FlyteAdmin."""
        return self._connection.endpoint

    @property
    def label(self) -> str:
        """What a person calls the other side: `local backend`, or the address of FlyteAdmin."""
        return "local backend" if self.is_local else self.endpoint

    @property
    def scope(self) -> Scope:
        """Project, domain and the notebook's name, by which entities are named now."""
        return Scope(self.project, self.domain, self.notebook.name)

    @property
    def notebook(self) -> "NotebookName":
        """The notebook's name, and where it comes from."""
        return self._here.notebook

    @property
    def runner(self) -> "LocalRunner":
        """What runs `wf(n=3)` in this process."""
        return self._without_admin().runner

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
            on_progress: Called with each entity (`RegisteredEntity`) when it is registered or refused.
            on_upload: Called with a `StagingProgress` whenever one more object is stored.
            dry_run: Whether to only find out what would be done.
            restage: Whether to stage again what is missing or damaged of what is registered already.

        Raises:
            RegistrationFailed: something does not compile, cannot be packed, or was refused.
            RemoteError: FlyteAdmin cannot be reached.
            UsageError: there is nothing to register, or several notebooks may be this one.
        """
        chosen = list(entities) or self.discover()
        if not chosen:
            raise UsageError("Nothing to register: define a task or workflow here, or pass one.")
        check_entity(*chosen)
        return self._with_admin().register(
            chosen, on_progress=on_progress, on_upload=on_upload, dry_run=dry_run, restage=restage
        )

    def discover(self) -> "list[Entity]":
        """Return what the notebook (or the script) defines now, and what installed registrars find.

        Raises:
            UsageError: an installed registrar cannot be loaded.
        """
        return self._here.load()

    def missing(self) -> "list[Missing]":
        """Return definitions that the notebook no longer has: still used, or known from before.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        return self._here.missing(self.registry, self.scope)

    def renamed(self) -> "str | None":
        """Return the notebook's new name if its file was renamed while this kernel ran, else `None`."""
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
            execution_name: The execution's name; `None` makes one up.

        Raises:
            CompileFailed: inputs are missing, unknown or of another type; it names every one.
            RegistrationFailed: the entity does not compile or cannot be packed.
            RemoteError: FlyteAdmin refused, or there is no such name.
            UsageError: several notebooks may be this one.
        """
        return self._with_admin().launch(entity, inputs or {}, version=version, name=execution_name)

    def execution(self, name: str) -> "Execution":
        """Return an execution by its name, or by `project:domain:name`, without reading it.

        Raises:
            UsageError: `name` is empty, or has another number of parts.
        """
        return self._with_admin().execution(name)

    def executions(self, limit: int = 20) -> "list[ExecutionView]":
        """Return the latest executions of the project and domain, newest first, without their nodes.

        Raises:
            RemoteError: FlyteAdmin cannot be reached, or refused.
        """
        return self._with_admin().executions(limit)

    def fetch_task(self, name: str, version: "str | None" = None) -> "Registered":
        """Return a registered task; the latest version when `version` is `None`.

        Raises:
            RemoteError: there is no such task, or FlyteAdmin cannot be reached.
        """
        return self._with_admin().fetch(TASK, name, version)

    def fetch_workflow(self, name: str, version: "str | None" = None) -> "Registered":
        """Return a registered workflow; the latest version when `version` is `None`.

        Raises:
            RemoteError: there is no such workflow, or FlyteAdmin cannot be reached.
        """
        return self._with_admin().fetch(WORKFLOW, name, version)

    def fetch_launch_plan(self, name: str, version: "str | None" = None) -> "Registered":
        """Return a registered launch plan; the latest version when `version` is `None`.

        Raises:
            RemoteError: there is no such launch plan, or FlyteAdmin cannot be reached.
        """
        return self._with_admin().fetch(LAUNCH_PLAN, name, version)

    def compile(self, entity: "Entity") -> "Compiled":
        """Return the entity as the compiler sees it: its closure, or every problem. Sends nothing.

        Raises:
            UsageError: `entity` is no task, workflow or launch plan.
        """
        check_entity(entity)
        return self._without_admin().compile(entity)

    def compile_all(self, *entities: "Entity") -> "CompileReport":
        """Compile several entities together, with all they use, and return a report. Sends nothing.

        Raises:
            UsageError: one of them is no task, workflow, launch plan or spec.
        """
        check_entity(*entities)
        return self._without_admin().compile_all(entities)

    def graph(self, entity: "Launchable", **options: Any) -> "GraphPicture":
        """Return the graph of an entity, of what `fetch_*` gave, or of a registered workflow's name.

        Options and errors are those of `Workflow.graph`.
        """
        from flyte_nb.session.pictures import picture  # the room that draws, which only this needs

        return picture(self, entity, **options)

    def versioned(self, entity: "Entity") -> "list[Draft]":
        """Return the entity and all it uses as they would be registered. Sends nothing.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        return self._with_admin().drafts([entity])

    def interface(self, entity: "Launchable") -> "tuple[TypedInterface, dict[str, Any]]":
        """Return inputs and outputs of an entity or a registered name, and the inputs' defaults.

        Raises:
            CompileFailed: the signature of an entity of this notebook has problems.
            RemoteError: there is no such name, or FlyteAdmin cannot be reached.
        """
        return self._with_admin().interface(entity)

    def bundle(self, *entities: "Entity") -> "Bundle":
        """Return what travels with the tasks that the entities (default: all) use, and why.

        Raises:
            UsageError: one of them is no task, workflow, launch plan or spec.
        """
        chosen = list(entities) or self.discover()
        check_entity(*chosen)
        return self._with_admin().bundle(chosen)

    @property
    def bundles(self) -> "StagedBundles":
        """Staged bundles: what is stored, whether it is whole, what is no longer needed."""
        return self._with_admin().staged_bundles()

    def answers(self) -> bool:
        """Return whether it can be asked without starting anything: the local backend may not run."""
        return self._connection.answers()

    def status(self) -> "dict[str, Any]":
        """Return where this session goes, and whether it is answered there."""
        return self._with_admin().status()

    def close(self) -> None:
        """Close the connection and remove what was downloaded; the backend goes on."""
        self._connection.link.close()
        if self._online is not None:
            self._online.close()

    def _with_admin(self) -> "Online":
        """Return what carries out calls to FlyteAdmin."""
        with self._lock:
            if self._online is None:
                # Loads the rooms that register and follow: connecting alone shall not wait for them.
                from flyte_nb.session.online import Online

                self._online = Online(self, self._connection, self._here)
            return self._online

    def _without_admin(self) -> "Offline":
        """Return what compiles and runs in this process."""
        with self._lock:
            if self._offline is None:
                self._offline = new_offline(self.registry, lambda: self.scope, self._here)
            return self._offline


_default: "Defaults[Session]" = Defaults()


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
        name: The notebook's name; `None` finds it out, empty means that there is no notebook.
        backend: `auto`, or `local` for the local backend whatever is configured.
        home: The local backend's folder; default: `FLYTE_NB_HOME`, else the user's data folder.

    Raises:
        UsageError: `backend` is another word, or the configuration cannot be read or names nothing.
        BackendError: the local backend cannot be started.
    """
    from flyte_nb.client.config import find, home_folder  # YAML, which `wf(n=3)` needs not

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
    """Return the session of the last `connect()`; connect when there was none.

    Raises:
        UsageError: there was none, and the configuration cannot be read or names nothing.
        BackendError: there was none, and the local backend cannot be started.
    """
    with _default.lock:
        return _default.session or connect()


def default_runner() -> "LocalRunner":
    """Return what runs `wf(n=3)`: the default session's runner, or one that needs no connection."""
    with _default.lock:
        if _default.session is not None:
            return _default.session.runner
        if _default.offline is None:
            here = _here(None)
            _default.offline = new_offline(
                _default.types(), lambda: Scope(_PROJECT, _DOMAIN, here.notebook.name), here
            )
        return _default.offline.runner


def _here(name: "str | None") -> Here:
    """Return the notebook or script of this process."""
    return Here(name, namespace=vars(sys.modules["__main__"]), env=os.environ)
