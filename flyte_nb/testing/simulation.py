"""The whole engine in one thread, in a world that a seed decides: a failing seed fails again in the same way.

The world has a clock that only it moves, a store, a recorder, a catalog, signals, and attempts that end
when the seed says. At every call of a port a fault may come: the backend's process dies before or after the
call, a store or a recorder fails, an attempt dies, its report comes twice. After a crash a new engine resumes
what the recorder has. `Simulation.run` ends when every execution has ended, and checks what must hold.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.types_pb2 import INTEGER, LiteralType

from flyte_nb.api import phases
from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.ports import AttemptKey
from flyte_nb.propeller.records import WorkflowRecord
from flyte_nb.propeller.services import Services
from flyte_nb.testing import invariants
from flyte_nb.testing.scenario_runs import SteppedChildren, last_outputs
from flyte_nb.testing.scenarios import Scenario
from flyte_nb.testing.scripted_executor import VANISHED
from flyte_nb.testing.simulated_world import CRASHES, NONE, Crash, Faults, SimulatedExecutor, World
from flyte_nb.testing.stepped_engine import SteppedEngine

__all__ = ["CRASHES", "NONE", "Crash", "Ended", "Faults", "Simulation"]

_START_US = 1_800_000_000_000_000
_MOST_STEPS = 4_000


class _Engine(SteppedEngine):
    """An engine that may not meet an error of its own."""

    def _crashed(self, driver: Driver, met: Exception) -> None:
        raise AssertionError(f"the engine met an error of its own: {met!r}") from met


class Ended(NamedTuple):
    """How an execution ended."""

    phase: str
    outputs: LiteralMap


class Simulation:
    """One run of a scenario in a world of its own."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        faults: "Faults | None" = None,
        *,
        crash_at: "int | None" = None,
        abort_at: int = 0,
    ) -> None:
        """Prepare the run.

        Args:
            scenario: What is run.
            seed: Decides everything that is left open.
            faults: How often faults come; `None` means the usual shares.
            crash_at: The call of a port around which the process dies once: negative before it, positive
                after it. Everything else happens in one order then: no fault comes, and attempts end in the
                order in which they began. 0 means that it does not die.
            abort_at: The step, counted from 1, at which a person asks to abort the execution; 0 means never.
        """
        chosen = NONE if crash_at is not None else faults or Faults()
        self.world = World(scenario, random.Random(seed), chosen)
        self.world.crash_at = crash_at or 0
        self._in_order = crash_at is not None
        self._rng = self.world.rng
        self._scenario = scenario
        self._launch = scenario.launch()
        self._pause_s: float | None = 0.0
        self._asked = False
        self._aborted = False
        self._abort_at, self._steps = abort_at, 0
        self.children = SteppedChildren(
            scenario, self.world.recorder, self.world.store, lambda: self._engine
        )
        self._engine = self._started()

    def run(self) -> Ended:
        """Run to the end, and return how the execution ended.

        Raises:
            AssertionError: when something does not hold. Its notes say what happened.
        """
        try:
            self._survive(lambda: self._engine.launch(self._launch))
            self._run_to_end()
            with self._no_faults():
                self._check()
                records = self.world.recorder.history(self._launch.id)
                last = records[-1]
                assert isinstance(last, WorkflowRecord)
                return Ended(last.phase, last_outputs(records, self.world.store))
        except AssertionError as error:
            happened = "\n".join(self.world.trace[-60:])
            raise AssertionError(f"{error}\nWhat happened before:\n{happened}") from error

    def _run_to_end(self) -> None:
        for _ in range(_MOST_STEPS):
            if self._is_done():
                return
            self._survive(self._step)
        raise AssertionError(f"It has not ended after {_MOST_STEPS} steps.")

    def _is_done(self) -> bool:
        if self._engine.running():
            return False
        history = self.world.recorder.history(self._launch.id)
        return bool(history) and history[-1].phase in phases.ENDED_EXECUTION

    def _step(self) -> None:
        """Do one of the things that can happen now."""
        world = self.world
        if world.comes(world.faults.crash / 4, "crash between two turns"):
            raise Crash
        self._steps += 1
        if self._steps == self._abort_at:
            self._abort()
            return
        running = world.outside.finishing()
        if self._in_order:
            self._step_in_order()
            return
        if running and world.comes(world.faults.die, "an attempt dies"):
            world.outside.kill(self._rng.choice(world.outside.running()), VANISHED)
            return
        if not self._aborted and world.comes(world.faults.abort, "a person aborts"):
            self._abort()
            return
        choices: list[Callable[[], None]] = [self._turn]
        if running:
            choices += [self._finish] * 2
        if self._signals():
            choices.append(self._signal)
        if self._pause_s is not None and not self._engine.is_woken:
            choices.append(self._pass_time)
        self._rng.choice(choices)()

    def _abort(self) -> None:
        self._aborted = True
        self._engine.terminate(self._launch.id, "enough")

    def _step_in_order(self) -> None:
        if self._engine.is_woken or self._pause_s == 0.0:
            self._turn()
        elif self.world.outside.finishing():
            self.world.outside.finish(self.world.outside.finishing()[0])
        elif self._signals():
            self._signal()
        else:
            self._pass_time()

    def _turn(self) -> None:
        woken = self._engine.is_woken
        self._pause_s = self._engine.turn()
        if woken or self._engine.is_woken or not self._engine.running():
            return
        open = self.world.outside.finishing() or self._signals() or self._steps < self._abort_at
        assert open or self._pause_s is not None, "nothing is left to do, and it has not ended"

    def _finish(self) -> None:
        key: AttemptKey = self._rng.choice(self.world.outside.finishing())
        self.world.trace.append(f"{key.node_id}[{key.attempt}] ends")
        self.world.outside.finish(key)

    def _pass_time(self) -> None:
        pause_s = self._pause_s or 0.0
        self.world.now_us += int(pause_s * 1_000_000) + 1
        self.world.trace.append(f"{pause_s:g} s pass")
        self._turn()

    def _signals(self) -> list[str]:
        """Return the signals that gates wait for."""
        waiting = []
        for signal in self._scenario.plain.get("signals", ()):
            for id in (self._launch.id, *self.children.launches):
                try:
                    known = self.world.signals.get_or_create(id, signal, _INTEGER)
                except KeyError:
                    continue
                if known is None and self._waits(id):
                    waiting.append(signal)
        return waiting

    def _waits(self, id: ExecutionId) -> bool:
        return id in self._engine.running()

    def _signal(self) -> None:
        """Give every signal that nobody gave yet a value."""
        value = Literal()
        value.scalar.primitive.integer = 7
        for signal in self._scenario.plain.get("signals", ()):
            for id in (self._launch.id, *self.children.launches):
                if self.world.signals.get_or_create(id, signal, _INTEGER) is None:
                    self.world.signals.set(id, signal, value)
        self.world.trace.append("signals are set")
        self._turn()

    # Crashes

    def _started(self) -> _Engine:
        world = self.world
        return _Engine(
            world.recorder,
            SimulatedExecutor(world, self._scenario.slots),
            world.store,
            "memory://data",
            catalog=world.catalog,
            services=Services(signals=world.signals, children=self.children),
            clock=lambda: world.now_us,
        )

    def _survive(self, act: Callable[[], None]) -> None:
        """Act, and start again as often as the process dies meanwhile."""
        while True:
            try:
                act()
                return
            except Crash:
                self.world.crashes += 1
                act = self._restart

    def _restart(self) -> None:
        """Make a new engine that goes on with everything that has not ended."""
        world = self.world
        if not self._in_order:
            world.now_us += self._rng.choice([0, 0, *self.world.faults.downtimes_us])
        for key in world.outside.running():
            if world.comes(world.faults.die, f"{key.node_id} is lost with its machine"):
                world.outside.lose(key)
        self._engine = self._started()
        self._pause_s = 0.0
        launches = [self._launch, *(launch for _, launch in self.children.launches.values())]
        for launch in launches:
            self._resume(launch)
        if self._aborted:
            self._engine.terminate(self._launch.id, "enough")
        for id, cause in self.children.terminated.items():
            self._engine.terminate(id, cause)

    def _resume(self, launch: Launch) -> None:
        while True:
            try:
                self._engine.resume(launch)
                return
            except StorageError:
                continue  # a store that is away for a moment: whoever starts the engine tries again

    @contextmanager
    def _no_faults(self) -> Iterator[None]:
        kept = (self.world.faults, self.world.crash_at)
        self.world.faults, self.world.crash_at = NONE, 0
        yield
        self.world.faults, self.world.crash_at = kept

    def _check(self) -> None:
        assert not self.world.outside.running(), "an attempt outlives its execution"
        for launch in [self._launch, *(launch for _, launch in self.children.launches.values())]:
            records = self.world.recorder.history(launch.id)
            invariants.check_history(launch, records, self.world.store)


_INTEGER = LiteralType(simple=INTEGER)
