"""The runs of one call in this process: the called one, and those that launch plan nodes start."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.growth import growth_limits, too_nested
from flyte_nb.propeller.in_place import InPlace, LocalValues
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.local_launch_plans import Find, LocalLaunchPlan
from flyte_nb.propeller.plan import ExecutionPlan
from flyte_nb.propeller.ports import (
    Catalog,
    ChildLaunch,
    ChildState,
    Clock,
    FormerNodes,
    LaunchPlans,
    Recorder,
    Signals,
)
from flyte_nb.propeller.reservations import Reservations
from flyte_nb.propeller.services import Services
from flyte_nb.worker.kept_files import KeptFiles


class FormerRuns(FormerNodes, Protocol):
    """The runs of a former call, for one that recovers it."""

    files: Mapping[tuple[ExecutionId, str], KeptFiles]
    """What tasks that failed had saved as checkpoints, by run and node."""

    def fill(self, id: ExecutionId, values: Values) -> None:
        """Put the values of a former run where the new one of the same id finds them."""
        ...


class _Run(NamedTuple):
    driver: Driver
    values: Values
    nesting: int
    """How many runs started each other before it."""
    quick: "InPlace | None" = None
    """Calls its tasks without making records; `None` when somebody looks at the records."""


class LocalRuns:
    """Keeps to the port `Children`. For one thread."""

    def __init__(
        self,
        find: "Find | None",
        *,
        recorder: Recorder,
        executor: InProcess,
        clock: Clock,
        catalog: "Catalog | None",
        reservations: Reservations,
        interfaces: "LaunchPlans | None" = None,
        is_watched: bool = True,
        former: "FormerRuns | None" = None,
        signals: "Signals | None" = None,
    ) -> None:
        """Have no run yet.

        Args:
            find: Finds launch plans; `None` where there are none.
            recorder: Gets the records of every run.
            executor: Runs the attempts of every run.
            clock: The time.
            catalog: Results of discoverable tasks.
            reservations: Which results are being computed.
            interfaces: Finds the interfaces of launch plans that the nodes of dynamic tasks start.
            is_watched: Whether anybody looks at the records. If not, tasks may be called without making them.
            former: What is recovered; `None` when nothing is.
            signals: Values for gates that wait.
        """
        self._find = find
        self._former = former
        self.files: Mapping[tuple[ExecutionId, str], KeptFiles] = {}
        """What tasks that failed saved as checkpoints, when the call is over."""
        self._services = Services(
            signals=signals,
            children=self,
            launch_plans=interfaces,
            limits=growth_limits(),
            former=former,
        )
        self._recorder, self._executor, self._clock = recorder, executor, clock
        self._catalog, self._reservations = catalog, reservations
        self._is_watched = is_watched
        self._runs: dict[ExecutionId, _Run] = {}
        self.open: list[Driver] = []
        """The drivers of the runs that have not ended. Those that begin meanwhile are added at its end."""

    def add(self, launch: Launch, plan: ExecutionPlan, nesting: int = 0) -> Driver:
        """Begin a run."""
        values, layout = LocalValues(), DataLayout("memory:/", launch.id)
        if self._former is not None:
            self._former.fill(launch.id, values)
            # A run has the id that it had in the former call.
            launch = launch._replace(recovers=launch.id)
        driver = Driver(
            launch,
            plan,
            layout,
            values,
            recorder=self._recorder,
            executor=self._executor,
            clock=self._clock,
            catalog=self._catalog,
            reservations=self._reservations,
            services=self._services,
        )
        quick = None
        if not self._is_watched and self._former is None:
            is_caching = self._catalog is not None
            quick = InPlace(driver, values, layout, self._executor, is_caching=is_caching)
        self._runs[launch.id] = _Run(driver, values, nesting, quick)
        self.open.append(driver)
        return driver

    def call_in_place(self) -> None:
        """Call tasks as long as only one can begin, and nothing else goes on in any run."""
        if len(self.open) == 1:
            quick = self._runs[self.open[0].id].quick
            while quick is not None and quick.step():
                continue

    @property
    def ids(self) -> list[ExecutionId]:
        """The ids of all runs, the called one first."""
        return list(self._runs)

    def values(self, id: ExecutionId) -> "Values | None":
        """Return the values of a run."""
        run = self._runs.get(id)
        return run.values if run is not None else None

    def driver(self, id: "ExecutionId | None") -> "Driver | None":
        """Return the driver of a run, also of one that has ended; `None` when there is no such run."""
        run = self._runs.get(id) if id is not None else None
        return run.driver if run is not None else None

    def settle(self) -> bool:
        """Let the runs that wait know which runs have ended; return whether any did."""
        ended = [driver for driver in self.open if driver.done]
        for driver in ended:
            self.open.remove(driver)
            for other in self.open:
                other.children.ended(driver.id)
        return bool(ended)

    def launch(self, child: ChildLaunch) -> None:
        """Begin a run of the launch plan.

        Raises:
            TaskFailed: when it is not defined here, or its inputs are not complete.
        """
        if child.id in self._runs:
            return
        found = self._find(child.launch_plan) if self._find is not None else None
        if found is None:
            name = child.launch_plan.name
            text = f"The launch plan {name} is not defined here. Run the cell that defines it."
            raise TaskFailed(ErrorInfo("SYSTEM:LaunchPlanNotDefined", text, SYSTEM))
        nesting = self._runs[child.parent].nesting + 1
        most = growth_limits().nesting
        if nesting > most:
            raise TaskFailed(_not_launched(too_nested(child.launch_plan.name, most)))
        parent = self._runs[child.parent].driver.launch
        launch = Launch(
            child.id,
            CompiledWorkflowClosure(),
            _complete(child.inputs, found),
            max_parallelism=parent.max_parallelism or found.max_parallelism,
            overwrite_cache=parent.overwrite_cache,
        )
        self.add(launch, found.plan, nesting)

    def state(self, id: ExecutionId) -> "ChildState | None":
        """Return how the run stands."""
        run = self._runs.get(id)
        if run is None:
            return None
        machine = run.driver.machine
        outputs = None
        if machine.phase == phases.SUCCEEDED:
            outputs = run.values.get(machine.output_uri)
        return ChildState(machine.phase or phases.UNDEFINED, outputs, machine.error)

    def terminate(self, id: ExecutionId, cause: str) -> None:
        """Begin to abort the run."""
        run = self._runs.get(id)
        if run is not None:
            run.driver.terminate(cause)


def _complete(given: LiteralMap, plan: LocalLaunchPlan) -> LiteralMap:
    """Return the workflow's inputs: the given ones, the launch plan's defaults, and what it fixes."""
    complete = LiteralMap()
    for name, parameter in plan.defaults.parameters.items():
        if name in given.literals:
            complete.literals[name].CopyFrom(given.literals[name])
        elif parameter.HasField("default"):
            complete.literals[name].CopyFrom(parameter.default)
        else:
            raise TaskFailed(_not_launched(f"expected_inputs {name} missing"))
    complete.MergeFrom(plan.fixed)
    return complete


def _not_launched(why: str) -> ErrorInfo:
    """Return the error of a node whose run cannot begin, with propeller's words around the reason."""
    text = (
        "[UserError] failed to launch workflow, caused by: rpc error: code = InvalidArgument"
        f" desc = {why}"
    )
    return ErrorInfo("RuntimeExecutionError", text, USER)
