"""The engine: executions in, records out. One driver thread moves all executions of a process."""

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from flyte_nb.api.errors import SYSTEM, ErrorInfo, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import Catalog, Clock, Executor, Recorder
from flyte_nb.propeller.reservations import Reservations

__all__ = ["Engine", "Launch"]

_log = logging.getLogger(__name__)

_MAX_CRASHES = 5
"""Unexpected failures after which an execution is left alone until the backend starts again."""

_MAX_PAUSE_S = 3600.0
"""A task may have a timeout of a million years, and no thread can wait so long."""


class Engine:
    """Runs executions until they end; survives `kill -9` by its recorder's history.

    Every change is recorded before it is acted on. Records of one execution come in order and from
    one thread. The engine owns one thread, `flyte-nb-propeller`, from construction to `close`.
    """

    def __init__(
        self,
        recorder: Recorder,
        executor: Executor,
        store: BlobStore,
        data_root: str,
        *,
        catalog: "Catalog | None" = None,
        clock: "Clock | None" = None,
    ) -> None:
        """Start the driver thread.

        Args:
            recorder: Where changes are kept.
            executor: Who runs attempts; the engine closes it.
            store: Where inputs and outputs lie.
            data_root: URI below which `metadata/<project>/<domain>/<execution>/…` is written.
            catalog: Results of discoverable tasks; `None` means nothing is cached.
            clock: The time; `None` means the system's.
        """
        self._recorder = recorder
        self._executor = executor
        self._store = store
        self._data_root = data_root
        self._catalog = catalog
        self._reservations = Reservations()  # used by the driver thread alone
        self._clock = clock or system_clock
        self._requests: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = threading.Event()
        self._ended = threading.Condition()
        self._drivers: dict[ExecutionId, Driver] = {}  # guarded by `_ended`
        self._closing = False
        self._turns = 0
        self._unadopted: list[Driver] = []  # used by the driver thread alone
        executor.listen(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="flyte-nb-propeller", daemon=True)
        self._thread.start()

    def launch(self, launch: Launch) -> None:
        """Start a new execution; returns at once.

        Raises:
            CompileFailed: when the closure has something this engine cannot run; every reason is in it.
            UsageError: when an execution of this id is running here, or the engine is closed.
        """
        self._take(self._driver(launch, self._layout(launch)), resumed=False)

    def resume(self, launch: Launch) -> None:
        """Go on with an execution after a restart: replay its history, adopt what still runs.

        An execution without history starts anew; one that has ended is left alone. Raises as `launch`,
        and `IllegalMove` when the history is not one of this closure.
        """
        history = self._recorder.history(launch.id)
        layout = self._layout(launch)
        former = self._layout(launch, former=True)
        if history and self._store.size(former.input_uri) is not None:
            layout = former
        driver = self._driver(launch, layout)
        driver.replay(history)
        if not driver.machine.is_terminal:
            self._take(driver, resumed=True)

    def terminate(self, id: ExecutionId, cause: str) -> bool:
        """Abort an execution: ABORTING is recorded, running attempts are ended, then ABORTED.

        Returns at once: whether that execution runs here. ABORTING is recorded by the driver thread;
        a caller that must not lose the request keeps it itself and asks again after a restart.
        """
        with self._ended:
            driver = self._drivers.get(id)
        if driver is None:
            return False
        self._ask(lambda: driver.terminate(cause))
        return True

    def running(self) -> frozenset[ExecutionId]:
        """The executions that have not ended."""
        with self._ended:
            return frozenset(self._drivers)

    def wait(self, id: ExecutionId, timeout_s: "float | None" = None) -> bool:
        """Wait until that execution has ended and its last record is kept; `False` when time ran out."""
        with self._ended:
            return self._ended.wait_for(lambda: id not in self._drivers, timeout_s)

    def close(self) -> None:
        """Stop the driver thread; running attempts go on and can be resumed. May be called twice."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._executor.close()

    def _layout(self, launch: Launch, *, former: bool = False) -> DataLayout:
        return DataLayout(self._data_root, launch.id, launch.raw_output_prefix, former=former)

    def _driver(self, launch: Launch, layout: DataLayout) -> Driver:
        return Driver(
            launch,
            plan_of(launch.closure),
            layout,
            Values(self._store),
            recorder=self._recorder,
            executor=self._executor,
            clock=self._clock,
            catalog=self._catalog,
            reservations=self._reservations,
        )

    def _take(self, driver: Driver, *, resumed: bool) -> None:
        with self._ended:
            if self._closing:
                raise UsageError("This engine is closed; make a new one.")
            if driver.id in self._drivers:
                raise UsageError(f"The execution {driver.id} is running here already.")
            self._drivers[driver.id] = driver
        self._ask((lambda: self._adopt(driver)) if resumed else (lambda: None))

    def _ask(self, request: Callable[[], None]) -> None:
        self._requests.put(request)
        self._wake.set()

    # The driver thread

    def _run(self) -> None:
        wait_s: float | None = None
        while not self._closing:
            self._wake.wait(wait_s)
            self._wake.clear()
            if self._closing:
                return
            try:
                wait_s = self._turn()
            except Exception:  # noqa: BLE001 - outermost frame of the thread: it must not end
                _log.exception("The engine's turn failed; it goes on.")
                wait_s = 1.0

    def _turn(self) -> "float | None":
        """Do all there is to do; how long to wait when nobody wakes us."""
        unadopted, self._unadopted = self._unadopted, []
        for driver in unadopted:
            self._adopt(driver)
        while True:
            try:
                request = self._requests.get_nowait()
            except Empty:
                break
            request()
        with self._ended:
            drivers = [d for d in self._drivers.values() if d not in self._unadopted]
        by_id = {driver.id: driver for driver in drivers}
        self._turns += 1
        first = self._turns % len(drivers) if drivers else 0
        drivers = drivers[first:] + drivers[:first]  # nobody is always the first to take a slot
        for report in self._executor.poll():
            if report.key.execution in by_id:
                by_id[report.key.execution].report(report)
        free = self._executor.slots - sum(driver.attempts for driver in drivers)
        for driver in drivers:
            free -= self._step(driver, max(0, free))
        self._remove([driver for driver in drivers if driver.done])
        return self._pause_s([driver for driver in drivers if not driver.done])

    def _adopt(self, driver: Driver) -> None:
        try:
            driver.adopt()
        except OSError as error:
            # Not to be left alone: an attempt of it may live. Asked for again until it can be said.
            _log.warning("%s: cannot take over its attempts, trying again: %s", driver.id, error)
            self._unadopted.append(driver)

    def _step(self, driver: Driver, free: int) -> int:
        try:
            driver.expire()
            return driver.step(free)
        except Exception as error:  # noqa: BLE001 - one execution must not stop the others
            _log.exception("%s: the engine cannot go on.", driver.id)
            text = f"The engine cannot go on with this execution: {type(error).__name__}: {error}"
            self._crashed(driver, ErrorInfo("SYSTEM:EngineError", text, SYSTEM))
            return 0

    def _crashed(self, driver: Driver, error: ErrorInfo) -> None:
        driver.crashes += 1
        if driver.crashes < _MAX_CRASHES:
            driver.fail(error)
            driver.retry_at_us = self._clock() + 1_000_000
            return
        _log.error("%s: given up until the next restart; its attempts are ended.", driver.id)
        driver.abandon()
        self._remove([driver])

    def _remove(self, done: list[Driver]) -> None:
        if done:
            with self._ended:
                for driver in done:
                    driver.turns.release_all()
                    self._drivers.pop(driver.id, None)
                self._ended.notify_all()

    def _pause_s(self, drivers: list[Driver]) -> "float | None":
        times = [driver.retry_at_us for driver in drivers if driver.retry_at_us]
        times += [limit for driver in drivers if (limit := driver.deadline_us()) is not None]
        if self._unadopted or any(driver.turns.is_waiting for driver in drivers):
            return 1.0  # who waits for another's result asks again, should nobody wake us
        if not times:
            return None
        return min(_MAX_PAUSE_S, max(0.001, (min(times) - self._clock()) / 1e6))


def system_clock() -> int:
    """The system's time in microseconds since 1970-01-01T00:00Z."""
    return time.time_ns() // 1000
