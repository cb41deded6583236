"""The world of a simulation: the ports of the engine, with faults at every call. See `simulation`."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.ports import Attempt, AttemptReport, Started
from flyte_nb.propeller.records import Record
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing import invariants
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.scenarios import Scenario
from flyte_nb.testing.scripted_executor import Outside, ScriptedExecutor

_START_US = 1_800_000_000_000_000


class Crash(BaseException):
    """The backend's process dies here. No code of the engine may catch it."""


class Faults(NamedTuple):
    """How often faults come, as shares of the calls at which they can come, and how many come at most."""

    crash: float = 0.02
    """The process dies before or after a call of a port."""
    fail: float = 0.03
    """A store, a recorder, a catalog or an executor fails now, and works again later."""
    die: float = 0.02
    """An attempt that runs dies by itself."""
    double: float = 0.05
    """A report comes a second time."""
    abort: float = 0.002
    """A person asks to abort the execution."""
    downtimes_us: tuple[int, ...] = (1_000_000, 60_000_000)
    """How long it takes until the backend is back after a crash."""
    most: int = 12
    """After so many, no further ones come: every execution has to end then."""


NONE = Faults(crash=0.0, fail=0.0, die=0.0, double=0.0, abort=0.0, most=0)
CRASHES = Faults(crash=0.08, fail=0.0, die=0.0, double=0.1, abort=0.0, downtimes_us=(), most=8)
"""Faults that may not change how an execution ends."""


class World:
    """Everything around the engine, and the faults in it."""

    def __init__(self, scenario: Scenario, rng: random.Random, faults: Faults) -> None:
        self.scenario = scenario
        self.rng = rng
        self.faults = faults
        self.came = 0
        """How many faults came."""
        self.calls = 0
        """How many calls of ports were made."""
        self.crash_at = 0
        """The call, counted from 1, around which the process dies: negative before it, positive after it."""
        self.crashes = 0
        self.now_us = _START_US
        self.store = _Store(self)
        self.recorder = _Recorder(self)
        self.catalog = _Catalog(self)
        self.signals = MemorySignals()
        # Attempts are processes of their own: the faults of the backend's process are not theirs.
        self.outside = Outside(
            scenario.behaves, lambda uri, data: MemoryStore.write(self.store, uri, data)
        )
        self.trace: list[str] = []
        """What happened, for a person who looks at a failing seed."""

    def comes(self, share: float, what: str) -> bool:
        """Return whether a fault comes now."""
        if self.came >= self.faults.most or self.rng.random() >= share:
            return False
        self.came += 1
        self.trace.append(what)
        return True

    @contextmanager
    def call(self, what: str, *, may_fail: bool = True) -> Iterator[None]:
        """Let faults come before and after a call of a port.

        Raises:
            Crash: when the process dies.
            StorageError: when the call fails; it can be repeated.
        """
        self.calls += 1
        number = self.calls
        if self.crash_at == -number or self.comes(self.faults.crash, f"crash before {what}"):
            raise Crash
        if may_fail and self.comes(self.faults.fail, f"{what} fails"):
            raise StorageError(f"{what} fails", transient=True)
        yield
        if self.crash_at == number or self.comes(self.faults.crash, f"crash after {what}"):
            raise Crash


class _Store(MemoryStore):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def read(self, uri: str) -> bytes:
        with self._world.call("a read"):
            return super().read(uri)

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        with self._world.call("a write"):
            super().write(uri, data)


class _Recorder(MemoryRecorder):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        with self._world.call("a record"):
            super().record(execution, records)


class _Catalog(MemoryCatalog):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, key: str) -> "bytes | None":
        with self._world.call("a look into the catalog"):
            return super().get(key)

    def put(self, key: str, outputs: bytes) -> None:
        with self._world.call("a put into the catalog"):
            super().put(key, outputs)


class SimulatedExecutor(ScriptedExecutor):
    """An executor that fails, and whose reports may come twice."""

    def __init__(self, world: World, slots: int) -> None:
        super().__init__(world.outside, slots=slots)
        self._world = world

    def start(self, attempt: Attempt) -> Started:
        """Check that the attempt may start, and start it.

        Raises:
            AssertionError: when it was not recorded, or lacks inputs.
            Crash: when the process dies.
        """
        recorded = self._world.recorder.history(attempt.key.execution)
        invariants.check_start(attempt, recorded)
        with self._world.call("a start", may_fail=False):
            return super().start(attempt)

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Watch an attempt that an earlier executor started.

        Raises:
            OSError: when this cannot be found out now.
            Crash: when the process dies.
        """
        with self._world.call("a look for an attempt", may_fail=False):
            if self._world.comes(self._world.faults.fail, "an attempt cannot be asked about"):
                raise OSError("cannot be found out now")
            return super().adopt(attempt)

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call, some of them twice.

        Raises:
            Crash: when the process dies.
        """
        found = super().poll()
        with self._world.call("a poll", may_fail=False):
            twice = [x for x in found if self._world.comes(self._world.faults.double, "twice")]
            return found + twice
