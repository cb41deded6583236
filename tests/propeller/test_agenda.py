"""Which executions the engine steps: waiting costs nothing, and each is woken by what it waits for."""

from collections import Counter

import pytest

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.ports import AttemptReport, ChildState, NoRoom
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import (
    chain,
    closure,
    gate,
    integers,
    literal,
    node,
    task,
    workflow,
)
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.scripted_executor import Outside, ScriptedExecutor
from flyte_nb.testing.stepped_engine import SteppedEngine

SECOND = 1_000_000
ONE = task("one", ["x"])
SERIAL = task("serial", ["x"])
SERIAL.metadata.discoverable = SERIAL.metadata.cache_serializable = True
SERIAL.metadata.discovery_version = "1"


def named(name: str) -> ExecutionId:
    return ExecutionId("flytesnacks", "development", name)


class Counting(SteppedEngine):
    """Counts the steps of each execution."""

    steps: "Counter[str]"

    def _step(self, driver, free):
        self.steps[driver.id.name] += 1
        super()._step(driver, free)


class Recorder(MemoryRecorder):
    """A recorder that can be away."""

    is_away = False

    def record(self, execution, records):
        if self.is_away:
            raise StorageError("away", transient=True)
        super().record(execution, records)


class Gpus(ScriptedExecutor):
    """An executor with one GPU, which every attempt needs."""

    def start(self, attempt):
        if self.outside.running():
            raise NoRoom("1 GPU; 0 of 1 are free")
        return super().start(attempt)


class World:
    def __init__(self, *, slots=4, at_once=True, executor=ScriptedExecutor) -> None:
        self.now = SECOND
        self.recorder, self.signals, self.store = Recorder(), MemorySignals(), MemoryStore()
        self.outside = Outside(lambda attempt: integers(o0=1))
        self.executor = executor(self.outside, slots=slots, at_once=at_once)
        self.engine = Counting(
            self.recorder,
            self.executor,
            self.store,
            "memory://data",
            catalog=MemoryCatalog(),
            clock=lambda: self.now,
            services=Services(signals=self.signals, children=Children(self)),
        )
        self.engine.steps = Counter()

    def launch(self, name, made, **inputs):
        self.engine.launch(Launch(named(name), made, integers(**inputs)))

    def settle(self):
        """Take turns until nothing is left to do now; return the executions that were stepped meanwhile."""
        self.engine.steps.clear()
        for _ in range(10_000):
            self.pause_s = self.engine.turn()
            if not self.engine.is_woken and self.pause_s != 0.0:
                return dict(self.engine.steps)
        raise AssertionError("it does not settle")

    def phase(self, name):
        return self.recorder.history(named(name))[-1].phase

    def runs(self, name):
        return named(name) in self.engine.running()


class Children:
    """Starts executions that wait at a gate, whatever the launch plan."""

    def __init__(self, world) -> None:
        self.world = world

    def launch(self, child):
        self.world.child = child.id
        self.world.engine.launch(Launch(child.id, gates(1), integers()))

    def state(self, id):
        history = self.world.recorder.history(id)
        phase = history[-1].phase if history else phases.UNDEFINED
        return ChildState(phase, integers(o0=7) if phase == phases.SUCCEEDED else None)

    def terminate(self, id, cause):
        self.world.engine.terminate(id, cause)


def gates(number, **options):
    nodes = [gate(f"g{index}", f"s{index}", **options) for index in range(number)]
    return closure(workflow("gates", nodes, {"o0": "g0"}))


def test_ten_thousand_waiting_nodes_cause_no_step_while_another_execution_runs():
    world, waiting = World(), gates(10)
    for index in range(1_000):
        world.launch(f"w{index}", waiting)
    assert len(world.settle()) == 1_000
    assert world.pause_s is None
    world.launch("busy", chain(50, ONE), x=1)
    assert set(world.settle()) == {"busy"}
    assert world.phase("busy") == phases.SUCCEEDED
    world.signals.set(named("w7"), "s3", literal(1))
    assert world.settle() == {"w7": 1}


def test_what_waits_is_woken_by_its_signal_and_by_nobody_elses():
    world = World()
    for name in ("a", "b"):
        world.launch(name, gates(1))
    world.settle()
    world.signals.set(named("a"), "s0", literal(1))
    assert set(world.settle()) == {"a"}
    assert world.phase("a") == phases.SUCCEEDED
    assert world.runs("b")


def test_what_waits_is_woken_when_its_time_comes():
    world = World()
    world.launch("late", gates(1, timeout_s=20.0))
    world.launch("soon", closure(workflow("w", [gate("g", sleep_s=10.0)])))
    world.settle()
    assert world.pause_s == pytest.approx(10)
    world.now += 10 * SECOND
    assert set(world.settle()) == {"soon"}
    assert world.pause_s == pytest.approx(10)
    world.now += 10 * SECOND
    assert set(world.settle()) == {"late"}
    assert world.phase("late") == phases.FAILED


def test_an_attempt_that_is_out_of_time_is_ended_although_nothing_else_happens():
    world = World(at_once=False)
    world.launch("a", closure(workflow("w", [timed("n0")]), [timed_task()]))
    world.settle()
    world.now += 5 * SECOND
    world.settle()
    assert world.phase("a") == phases.FAILED


def timed_task():
    made = task("timed", [])
    made.metadata.timeout.FromSeconds(5)
    return made


def timed(id):
    made = node(id, timed_task())
    made.metadata.timeout.FromSeconds(5)
    return made


def test_a_parent_is_woken_by_the_end_of_its_child_and_by_no_other_end():
    world = World()
    world.launch("parent", closure(workflow("w", [node("n0", "lp", {"x": 1})], {"o0": "n0"})))
    world.launch("other", gates(1))
    world.settle()
    world.signals.set(named("other"), "s0", literal(1))
    assert set(world.settle()) == {"other"}
    world.signals.set(world.child, "s0", literal(1))
    assert set(world.settle()) == {world.child.name, "parent"}
    assert world.phase("parent") == phases.SUCCEEDED


def test_slots_that_get_free_go_round_and_only_their_takers_are_stepped():
    world = World(slots=1, at_once=False)
    names = [f"e{index}" for index in range(20)]
    for name in names:
        world.launch(name, chain(2, ONE), x=1)
    world.settle()
    order = []
    while running := world.outside.running():
        order.append(running[0].execution.name)
        world.outside.finish(running[0])
        assert len(world.settle()) <= 2
    assert order == names + names


def test_a_wide_execution_does_not_keep_a_slot_from_a_small_one():
    world = World(slots=1, at_once=False)
    nodes = [node(f"n{index}", ONE, {"x": index}) for index in range(9)]
    world.launch("wide", closure(workflow("w", nodes), [ONE]))
    world.launch("small", chain(1, ONE), x=1)
    world.settle()
    order = []
    while running := world.outside.running():
        order.append(running[0].execution.name)
        world.outside.finish(running[0])
        world.settle()
    assert "small" in order[:3]


def test_what_lacks_more_than_a_slot_is_woken_by_the_end_of_what_has_it():
    world = World(at_once=False, executor=Gpus)
    for name in ("a", "b"):
        world.launch(name, chain(1, ONE), x=1)
    world.settle()
    world.outside.finish(world.outside.running()[0])
    world.settle()
    assert [key.execution.name for key in world.outside.running()] == ["b"]


def test_what_waits_for_an_equal_call_is_woken_by_its_end():
    world = World(at_once=False)
    for name in ("a", "b"):
        world.launch(name, closure(workflow("w", [node("n0", SERIAL, {"x": 1})]), [SERIAL]))
    world.settle()
    assert world.pause_s is None
    world.outside.finish(world.outside.running()[0])
    world.settle()
    assert (world.phase("a"), world.phase("b")) == (phases.SUCCEEDED, phases.SUCCEEDED)
    assert len(world.outside.started) == 1


def test_an_execution_whose_records_cannot_be_kept_tries_again_and_wakes_no_other():
    world = World()
    world.launch("waits", gates(1))
    world.settle()
    world.recorder.is_away = True
    world.launch("a", chain(1, ONE), x=1)
    assert world.settle() == {"a": 1}
    assert world.pause_s == pytest.approx(1)
    world.recorder.is_away = False
    world.now += SECOND
    assert set(world.settle()) == {"a"}
    assert world.phase("a") == phases.SUCCEEDED


def test_a_waiting_execution_is_ended_when_somebody_asks_for_it():
    world = World()
    world.launch("a", gates(1))
    world.settle()
    world.engine.terminate(named("a"), "enough")
    world.settle()
    assert world.phase("a") == phases.ABORTED


def test_a_report_about_an_execution_that_is_gone_wakes_nobody():
    world = World(at_once=False)
    world.launch("a", chain(1, ONE), x=1)
    world.settle()
    key = world.outside.running()[0]
    world.engine.terminate(named("a"), "enough")
    world.settle()
    world.executor.poll = lambda: [AttemptReport(key, error=ErrorInfo("Lost", "lost", SYSTEM))]
    world.engine.steps.clear()
    world.engine.turn()
    assert not world.engine.steps
