"""Run a scenario and return its events: by the engine in one thread, or by one with real processes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.events import events_of
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.ports import ChildLaunch, ChildState, Recorder
from flyte_nb.propeller.records import Record, WorkflowRecord
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.event_lines import event_lines
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.scenario_reading import child_closure
from flyte_nb.testing.scenarios import Action, Scenario
from flyte_nb.testing.scripted_executor import Outside, ScriptedExecutor
from flyte_nb.testing.stepped_engine import SteppedEngine

_START_US = 1_800_000_000_000_000
_MOST_TURNS = 10_000


class Ran(NamedTuple):
    """A scenario's last execution after its end."""

    execution: ExecutionId
    records: Sequence[Record]
    outputs: LiteralMap
    children: Sequence[tuple[ExecutionId, Sequence[Record]]] = ()
    """The executions that its launch plan nodes started, in order, and their records."""

    @property
    def lines(self) -> list[str]:
        """Return the line of each event; those of child executions follow, after a line with the name."""
        lines = event_lines(events_of(self.execution, self.records))
        for id, records in self.children:
            lines += [f"{id.name}:", *event_lines(events_of(id, records))]
        return lines


class Controls(Protocol):
    """What a scenario does from outside."""

    def terminate(self, id: ExecutionId, cause: str) -> bool:
        """Abort the execution."""
        ...


class ActingRecorder(MemoryRecorder):
    """Keeps records, and lets the scenario's actions happen once the event they wait for is recorded."""

    def __init__(self, actions: Sequence[Action], act: Callable[[Action], None]) -> None:
        super().__init__()
        self._actions = list(actions)
        self._act = act

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Keep `records`, and act."""
        super().record(execution, records)
        lines = event_lines(events_of(execution, records))
        for action in [action for action in self._actions if action.after in lines]:
            self._actions.remove(action)
            self._act(action)


def run_stepped(scenario: Scenario) -> Ran:
    """Run the scenario with attempts that are no processes, in this thread, with a clock of its own.

    When nothing is left to do, the clock goes on to the next moment at which something happens.

    Raises:
        AssertionError: when the execution does not end.
    """
    clock = [_START_US]
    store, signals = MemoryStore(), MemorySignals()

    def act(action: Action) -> None:
        perform(action, launch.id, engine, signals)

    recorder = ActingRecorder(scenario.actions, act)
    children = SteppedChildren(scenario, recorder, store, lambda: engine)
    executor = ScriptedExecutor(Outside(scenario.behaves), slots=scenario.slots, at_once=True)
    engine = SteppedEngine(
        recorder,
        executor,
        store,
        "memory://data",
        catalog=MemoryCatalog(),
        services=Services(signals=signals, children=children),
        clock=lambda: clock[0],
    )
    for number in range(scenario.launches):
        launch = scenario.launch(number)
        engine.launch(launch)
        _drive(engine, clock)
    records = recorder.history(launch.id)
    below = [(id, recorder.history(id)) for id in children.of(launch.id)]
    return Ran(launch.id, records, last_outputs(records, store), below)


class SteppedChildren:
    """Keeps to the port `Children`: the launch plans of a scenario, launched in the same engine."""

    def __init__(
        self,
        scenario: Scenario,
        recorder: Recorder,
        store: BlobStore,
        engine: Callable[[], SteppedEngine],
    ) -> None:
        """Have no execution yet.

        Args:
            scenario: Has the launch plans.
            recorder: Says how executions stand.
            store: Has their outputs.
            engine: Returns the engine that runs them.
        """
        self._scenario = scenario
        self._recorder = recorder
        self._store = store
        self._engine = engine
        self.launches: dict[ExecutionId, tuple[ChildLaunch, Launch]] = {}
        """What was started, in order."""
        self.terminated: dict[ExecutionId, str] = {}
        """What is to be aborted, and why."""

    def of(self, id: ExecutionId) -> list[ExecutionId]:
        """Return the executions that nodes of that execution started, and those that theirs did."""
        found = [child for child, (by, _) in self.launches.items() if by.parent == id]
        return [each for child in found for each in (child, *self.of(child))]

    def launch(self, child: ChildLaunch) -> None:
        """Start the execution, unless it was started before.

        Raises:
            TaskFailed: when the scenario has no such launch plan.
        """
        if child.id in self.launches:
            return
        name = child.launch_plan.name
        if name not in self._scenario.plain.get("launch_plans", {}):
            text = f"launch plan [{name}] is not registered"
            raise TaskFailed(ErrorInfo("RuntimeExecutionError", text, SYSTEM))
        closure = child_closure(self._scenario.plain, name)
        launch = Launch(child.id, closure, child.inputs)
        self.launches[child.id] = (child, launch)
        self._engine().launch(launch)

    def state(self, id: ExecutionId) -> "ChildState | None":
        """Return how the execution stands.

        Raises:
            StorageError: when its outputs cannot be read.
        """
        if id not in self.launches:
            return None
        records = self._recorder.history(id)
        changes = [record for record in records if isinstance(record, WorkflowRecord)]
        if not changes:
            return ChildState(phases.UNDEFINED)
        last = changes[-1]
        if last.phase == phases.SUCCEEDED:
            return ChildState(last.phase, last_outputs(records, self._store))
        return ChildState(last.phase, error=last.error)

    def terminate(self, id: ExecutionId, cause: str) -> None:
        """Begin to abort the execution. The request outlives the engine, as in an admin's tables."""
        self.terminated[id] = cause
        self._engine().terminate(id, cause)


def last_outputs(records: Sequence[Record], store: BlobStore) -> LiteralMap:
    """Return the outputs of an execution that has ended; it has none when it failed.

    Raises:
        StorageError: when they cannot be read.
    """
    last = records[-1]
    uri = last.output_uri if isinstance(last, WorkflowRecord) else ""
    return LiteralMap.FromString(store.read(uri)) if uri else LiteralMap()


def _drive(engine: SteppedEngine, clock: list[int]) -> None:
    for _ in range(_MOST_TURNS):
        if not engine.running():
            return
        pause_s = engine.turn()
        if engine.is_woken:
            clock[0] += 1_000
            continue
        if not engine.running():
            return
        assert pause_s is not None, "nothing is left to do, and the execution has not ended"
        clock[0] += int(pause_s * 1_000_000) + 1
    raise AssertionError(f"the execution has not ended after {_MOST_TURNS} turns")


def perform(
    action: Action, execution: ExecutionId, engine: Controls, signals: MemorySignals
) -> None:
    """Do what the scenario says happens from outside.

    Raises:
        KeyError: when no gate waits for the signal.
    """
    if action.does == "abort":
        engine.terminate(execution, str(action.value))
        return
    value = Literal()
    if isinstance(action.value, bool):
        value.scalar.primitive.boolean = action.value
    else:
        value.scalar.primitive.integer = int(action.value)
    signals.set(execution, action.does.removeprefix("signal "), value)
