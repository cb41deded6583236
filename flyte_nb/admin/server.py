"""Put the backend together: metastore, services, engine, and gRPC on loopback.

`Backend` is all of it in one process: the background process has one, and a test may have several.
"""

import getpass
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from flyteidl.admin import execution_pb2, launch_plan_pb2, project_pb2
from flyteidl.core import identifier_pb2
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.admin import moments
from flyte_nb.admin.compiling import launch_plan_interface
from flyte_nb.admin.home import Home
from flyte_nb.admin.lent import Lent
from flyte_nb.admin.own_process import allow_open_files
from flyte_nb.admin.recorder import SqliteRecorder
from flyte_nb.admin.rpc import Handlers, Method, local_methods, unary_methods
from flyte_nb.admin.service_parts import Parts, Rpc, Service
from flyte_nb.admin.services.about import About
from flyte_nb.admin.services.alike import Alike
from flyte_nb.admin.services.attributes import Attributes
from flyte_nb.admin.services.children import ChildExecutions
from flyte_nb.admin.services.data import Data
from flyte_nb.admin.services.download_locations import DownloadLocations
from flyte_nb.admin.services.entity_reads import EntityReads
from flyte_nb.admin.services.events import Events
from flyte_nb.admin.services.executions import Executions
from flyte_nb.admin.services.installations import InstallationsService
from flyte_nb.admin.services.launch_plans import LaunchPlans
from flyte_nb.admin.services.launch_targets import LaunchTargets
from flyte_nb.admin.services.launches import Launches, Propeller
from flyte_nb.admin.services.lending import Lending
from flyte_nb.admin.services.named_entities import NamedEntities
from flyte_nb.admin.services.progress import Progress
from flyte_nb.admin.services.projects import ProjectsService
from flyte_nb.admin.services.signals import SignalsService
from flyte_nb.admin.services.tasks import Tasks
from flyte_nb.admin.services.upload_locations import UploadLocations
from flyte_nb.admin.services.waits import Waits
from flyte_nb.admin.services.workflows import Workflows
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.entities import LAUNCH_PLANS, TASKS, WORKFLOWS, Entities
from flyte_nb.admin.store.former import FormerRuns
from flyte_nb.admin.store.projects import Projects
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.store.signals import Signals
from flyte_nb.admin.surroundings import AttemptSurroundings
from flyte_nb.admin.uploads import UploadServer
from flyte_nb.admin.watch import MAX_WATCHERS, WATCH_EXECUTIONS, Feed, WatchService
from flyte_nb.api.errors import BackendError
from flyte_nb.api.ports import BlobStore
from flyte_nb.compiler import LaunchPlanInterface
from flyte_nb.propeller.cache import StoreCatalog
from flyte_nb.propeller.engine import Engine
from flyte_nb.propeller.executors.chosen import chosen_executor
from flyte_nb.propeller.executors.echo import WithEchoes
from flyte_nb.propeller.executors.foreign import Access
from flyte_nb.propeller.foreign.runnable import why_not_here
from flyte_nb.propeller.growth import growth_limits
from flyte_nb.propeller.ports import Children, FormerNodes, Recorder
from flyte_nb.propeller.services import Services
from flyte_nb.runtime.offloading import offloading_of_backend
from flyte_nb.storage import open_stores

_LOG = logging.getLogger(__name__)
_grpc: Any = grpc
"""grpcio's own functions carry no types."""

_FIRST_PROJECT = "flytesnacks"
_UNARY_THREADS = 32
_CREATING_THREADS = 4
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # otherwise two processes could share a port and its calls
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 32 * 1024),
    # flytekit pings every 30 s without calls. gRPC's default is to end the connection for that.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A connection that sends nothing is closed soon.
    ("grpc.server_handshake_timeout_ms", 5_000),
)
_SPARE_FILES = 512
"""Open files that are reserved for the database, the tasks and the objects, where the limit allows."""

_SCARCE_FILES = 4_096

EngineFactory = Callable[[Recorder, BlobStore, Home], Propeller]
"""Makes the engine from its recorder, its store and the home folder."""


class Backend:
    """One backend on one home folder, in this process.

    Nothing runs before `start`. The next `start` continues what `stop` leaves unfinished.
    """

    def __init__(
        self,
        home: Home,
        *,
        make_engine: "EngineFactory | None" = None,
        clock: "Callable[[], int]" = moments.now_us,
    ) -> None:
        """Set up a backend; nothing is opened yet.

        Args:
            home: The home folder, which `Home.prepare` has made.
            make_engine: Makes the engine; by default propeller's with an attempt a process.
            clock: The time in microseconds since 1970.
        """
        self.home = home
        self._make_engine = make_engine
        self._lent = Lent(home.lent)
        self.children = ChildExecutions(self._lent)
        """Starts executions for an engine's launch plan nodes, once the backend is started."""
        self._clock = clock
        self._server: Any = None
        self._pools: tuple[ThreadPoolExecutor, ...] = ()
        self._engine: Propeller | None = None
        self._database: Database | None = None
        self._feed = Feed()
        self._uploads = UploadServer(home.objects)
        self._executions: Executions | None = None
        self._rpcs: dict[str, Rpc] = {}
        self.signals: Signals
        """The signals of all executions, from `start` on."""
        self.port = 0

    @property
    def endpoint(self) -> str:
        """Return `127.0.0.1:<port>`."""
        return f"127.0.0.1:{self.port}"

    @property
    def rpcs(self) -> Mapping[str, Rpc]:
        """Return the calls by name, to be made without gRPC."""
        return self._rpcs

    def start(self, *, port: int = 0) -> None:
        """Open everything, listen, and continue what has not ended.

        Args:
            port: The port to listen on if it is free, else any; 0 means any.

        Raises:
            BackendError: when the database or the port cannot be opened.
        """
        self._database = Database(self.home.database)
        try:
            blobs = open_stores()
            self.signals = Signals(self._database, self._clock)
            # A loan ends with its execution, once that end is durable.
            recorder = SqliteRecorder(self._database, self._feed, self._lent.remove)
            self._engine = self._started_engine(recorder, blobs)
            self._rpcs = self._assemble(blobs, recorder, self._engine)
            self._add_first_project()
            self._listen(port)
        except BaseException:
            # Threads and the database must not outlive a start that failed.
            self.stop()
            raise
        # Resume before the first call is answered: a call sees executions that move again.
        self._lent.sweep(Runs(self._database).unfinished_ids())
        if self._executions is not None:
            self._executions.resume_all()
        self._server.start()
        _LOG.info("listening on %s", self.endpoint)

    def stop(self, *, grace_s: float = 2.0) -> None:
        """Let calls finish for `grace_s` seconds, then close everything. May be called twice.

        Attempts that run go on, in processes of their own; the next start adopts them.
        """
        # Streams first: gRPC waits for them, and they wait for changes.
        self._feed.close()
        if self._server is not None:
            self._server.stop(grace_s).wait()
            self._server = None
        for pool in self._pools:
            # Calls use the engine and the database, so both are closed after the last call.
            pool.shutdown()
        self._pools = ()
        self._uploads.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def _started_engine(self, recorder: SqliteRecorder, blobs: BlobStore) -> Propeller:
        if self._make_engine is not None:
            return self._make_engine(recorder, blobs, self.home)
        surroundings = AttemptSurroundings(self._opened(), self._lent, self.home.secrets_file)
        known = Entities(self._opened(), LAUNCH_PLANS)
        former = FormerRuns(self._opened())
        return process_engine(
            recorder,
            blobs,
            self.home,
            surroundings,
            self.children,
            self.signals,
            known,
            former,
        )

    def _assemble(
        self, blobs: BlobStore, recorder: SqliteRecorder, engine: Propeller
    ) -> dict[str, Rpc]:
        database = self._opened()
        parts = Parts(
            database=database,
            projects=Projects(database),
            tasks=Entities(database, TASKS),
            workflows=Entities(database, WORKFLOWS),
            launch_plans=Entities(database, LAUNCH_PLANS),
            blobs=blobs,
            storage_root=self.home.storage_root,
            clock=self._clock,
            principal=_user(),
            why_not=why_not_here if self._make_engine is None else _nothing_against,
        )
        workflows, launch_plans = Workflows(parts), LaunchPlans(parts)
        named_entities = NamedEntities(parts)
        targets = LaunchTargets(parts, workflows, launch_plans, named_entities)
        launches = Launches(parts, targets, recorder, engine)
        self._executions = Executions(parts, launches, engine, self._feed)
        self.children.serve(parts, launches, self._executions)
        downloads = DownloadLocations(parts, self._uploads, self.home.objects)
        services: tuple[Service, ...] = (
            *(EntityReads(each) for each in (parts.tasks, parts.workflows, parts.launch_plans)),
            *(Tasks(parts), workflows, launch_plans, named_entities, ProjectsService(parts)),
            Attributes(parts),
            *(self._executions, Progress(parts), Data(parts, downloads), About(parts)),
            *(UploadLocations(parts, self._uploads, self.home.objects), downloads),
            *(InstallationsService(parts), Lending(parts, self._lent)),
            *(SignalsService(parts, self.signals), Waits(engine), Alike(parts)),
            Events(parts, self._feed, self._lent.remove),
        )
        return {name: rpc for service in services for name, rpc in service.rpcs().items()}

    def _add_first_project(self) -> None:
        database = self._opened()
        projects = Projects(database)
        # flytekit uses this project when a person names none.
        if database.one("SELECT 1 FROM projects") is None:
            project = project_pb2.Project(
                id=_FIRST_PROJECT,
                name=_FIRST_PROJECT,
                description="The project that every new backend has.",
            )
            projects.add(project, moments.text(self._clock()))

    def _listen(self, port: int) -> None:
        # A watcher occupies a thread, so calls have threads of their own beside all watchers.
        pool, creators = self._pools = (
            ThreadPoolExecutor(_UNARY_THREADS + MAX_WATCHERS, thread_name_prefix="flyte-nb-rpc"),
            ThreadPoolExecutor(_CREATING_THREADS, thread_name_prefix="flyte-nb-create"),
        )
        methods: dict[str, Method] = {**unary_methods(self._rpcs), **local_methods(self._rpcs)}
        watch = WatchService(self._opened(), self._feed)
        handlers = Handlers(
            methods,
            {WATCH_EXECUTIONS: (execution_pb2.WorkflowExecutionGetRequest, watch.executions)},
            self.home.token(),
            f"The token is in {self.home.token_file}; point clients at {self.home.config_file}. If the"
            " token was changed while the backend ran, stop it with `flyte-nb down` and try again.",
            creators,
        )
        server = _grpc.server(pool, options=(*_OPTIONS, *_connection_limits(allow_open_files())))
        server.add_generic_rpc_handlers((handlers,))
        # The former port first, so that clients and config.yaml stay valid after a restart.
        for candidate in dict.fromkeys((port, 0)):
            self.port = _bound(server, candidate)
            if self.port:
                break
        if not self.port:
            raise BackendError(
                "The local backend found no free port on 127.0.0.1.",
                hint="Check that the loopback interface is up and that this process may listen.",
            )
        self._server = server

    def _opened(self) -> Database:
        if self._database is None:
            raise BackendError("The local backend is not running.", hint="Start it first.")
        return self._database


def process_engine(
    recorder: Recorder,
    blobs: BlobStore,
    home: Home,
    surroundings: AttemptSurroundings,
    children: Children,
    signals: Signals,
    launch_plans: Entities,
    former: FormerNodes,
) -> Engine:
    """Return propeller's engine, with attempts on this machine or on a Dask cluster.

    Raises:
        BackendError: when the Dask cluster that is asked for does not answer.
    """

    def interface(id: identifier_pb2.Identifier) -> "LaunchPlanInterface | None":
        message = launch_plans.known(id)
        return (
            None
            if message is None
            else launch_plan_interface(launch_plan_pb2.LaunchPlan.FromString(message))
        )

    executor = chosen_executor(os.environ, home.attempts, blobs, surroundings, access_to(home))
    offloading = offloading_of_backend(os.environ)
    return Engine(
        recorder,
        WithEchoes(executor, blobs),
        blobs,
        home.storage_root,
        catalog=StoreCatalog(blobs, f"{home.storage_root}/catalog"),
        services=Services(signals, children, interface, growth_limits(), former, offloading),
    )


def _nothing_against(task: TaskTemplate) -> str:
    """Return no reason: an engine that somebody else made runs what it runs."""
    return ""


def access_to(home: Home) -> Access:
    """Return how tasks of other SDKs reach the backend of this home, also from inside of an image."""
    mounts = (home.objects, home.config_file, home.token_file)
    return Access(str(home.config_file), tuple(map(str, mounts)))


def _connection_limits(files: int) -> tuple[tuple[str, int], ...]:
    """Return gRPC's options for a process that may open so many files.

    An idle channel is closed after a while, and its client opens it again with the next call.
    """
    # Every connection is an open file. Where those are few, idle ones are closed sooner.
    is_scarce = files < _SCARCE_FILES
    return (
        ("grpc.max_allowed_incoming_connections", max(files // 2, files - _SPARE_FILES)),
        ("grpc.max_connection_idle_ms", 10_000 if is_scarce else 120_000),
    )


def _bound(server: Any, port: int) -> int:
    try:
        return int(server.add_insecure_port(f"127.0.0.1:{port}"))
    except RuntimeError:  # grpcio's answer to a port that is taken
        return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        return "unknown"
