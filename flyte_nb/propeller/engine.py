"""The engine: executions in, records out. One thread moves all executions of a process.

One thread is enough, since it never waits for a task: attempts are processes, and their ends wake it.
And with one thread no two executions can disagree about slots, reservations or the order of records.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from flyte_nb.api.errors import SYSTEM, ErrorInfo, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.agenda import Agenda
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.families import Families
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import AttemptReport, Catalog, Clock, Executor, Gone, Recorder
from flyte_nb.propeller.reservations import Reservations
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.propeller.waits import Wait

__all__ = ["Engine", "Launch"]

_log = logging.getLogger(__name__)

_MAX_CRASHES = 5
"""After so many unexpected exceptions an execution is left alone until the backend starts again."""

_MAX_PAUSE_S = 3600.0
"""The longest wait. A task may have a timeout of a million years, and no thread can wait so long."""

_ANSWER_S = 2.0
"""How long a question to the driver thread waits for its answer."""

_ASK_AGAIN_S = 1.0
"""How soon to look again for what nobody reports to this engine."""


class Engine:
    """Runs executions until they end. It survives `kill -9`, because its recorder has the history.

    Every change is recorded before it is acted on. The records of one execution come in order and from
    one thread. The engine owns that thread, `flyte-nb-propeller`, from its construction to `close`. The
    public methods may be called from any thread: they leave a request for the thread and wake it.
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
        services: Services = Services(),  # noqa: B008 - it never changes
    ) -> None:
        """Start the driver thread.

        Args:
            recorder: Where changes are kept.
            executor: Runs the attempts; the engine closes it.
            store: Where inputs and outputs are stored.
            data_root: URI below which `metadata/<project>/<domain>/<execution>/…` is written.
            catalog: Results of discoverable tasks; `None` means nothing is cached.
            clock: The time; `None` means the system's.
            services: What executions use beside these.
        """
        self._recorder = recorder
        self._executor = executor
        self._store = store
        self._data_root = data_root
        self._catalog = catalog
        self._reservations = Reservations()  # used by the driver thread only
        self._clock = clock or system_clock
        self._requests: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = threading.Event()
        self._ended = threading.Condition()
        self._drivers: dict[ExecutionId, Driver] = {}
        """Changed under `_ended`. Only the driver thread takes any out, so it reads without the lock."""
        self._closing = False
        # The following are used by the driver thread only.
        self._agenda = Agenda()
        self._unadopted: dict[ExecutionId, Driver] = {}
        executor.listen(self._wake.set)
        signals = services.signals or MemorySignals()
        self._families = Families(services.children) if services.children is not None else None
        self._services = services._replace(signals=signals, children=self._families)
        signals.listen(self.signalled)
        self._thread = threading.Thread(target=self._run, name="flyte-nb-propeller", daemon=True)
        self._begin()

    def launch(self, launch: Launch) -> None:
        """Start a new execution, and return at once.

        Raises:
            CompileFailed: when the closure has nodes that this engine cannot run; it has every problem.
            UsageError: when an execution of this id runs here already, or the engine is closed.
        """
        self._take(self._driver(launch, self._layout(launch)), resumed=False)

    def resume(self, launch: Launch) -> None:
        """Go on with an execution after a restart: replay its history and adopt what still runs.

        An execution without a history starts anew. One that has ended is left alone.

        Raises:
            CompileFailed: as `launch`.
            UsageError: as `launch`.
            IllegalMove: when the history does not fit the closure.
            StorageError: when a workflow that a dynamic task made cannot be read any more.
        """
        history = self._recorder.history(launch.id)
        layout = self._layout(launch)
        # An earlier release named an execution's folder otherwise. The one that has its inputs is the
        # right one.
        former = self._layout(launch, former=True)
        if history and self._store.size(former.input_uri) is not None:
            layout = former
        driver = self._driver(launch, layout)
        driver.replay(history)
        if not driver.machine.is_terminal:
            self._take(driver, resumed=True)

    def terminate(self, id: ExecutionId, cause: str) -> bool:
        """Begin to abort an execution, and return at once whether it runs here.

        ABORTING is recorded, running attempts are ended, and then ABORTED is recorded. The driver
        thread records ABORTING a moment later. A caller that must not lose the request to a crash keeps
        it, and asks again after the restart.
        """
        with self._ended:
            driver = self._drivers.get(id)
        if driver is None:
            return False
        self._ask(lambda: self._woken(driver).terminate(cause))
        return True

    def signalled(self, id: ExecutionId, signal_id: str) -> None:
        """Let gates that wait for this signal look at its value; after the end nothing happens."""
        with self._ended:
            driver = self._drivers.get(id)
        if driver is not None:
            self._ask(lambda: self._woken(driver).gates.signalled(signal_id))

    def waits(self, id: ExecutionId) -> dict[str, Wait]:
        """Return what the nodes of an execution wait for, by node id; nothing when it does not run here.

        The driver thread answers, between two of its turns.
        """
        with self._ended:
            driver = self._drivers.get(id)
        if driver is None:
            return {}
        answer: Future[dict[str, Wait]] = Future()
        self._ask(lambda: answer.set_result(driver.waits()))
        try:
            return answer.result(_ANSWER_S)
        except TimeoutError:
            return {}  # the engine is closing, or has a long turn

    def running(self) -> frozenset[ExecutionId]:
        """Return the executions that have not ended."""
        with self._ended:
            return frozenset(self._drivers)

    def wait(self, id: ExecutionId, timeout_s: "float | None" = None) -> bool:
        """Wait until the execution has ended and its last record is durable; `False` when time ran out."""
        with self._ended:
            return self._ended.wait_for(lambda: id not in self._drivers, timeout_s)

    def close(self) -> None:
        """Stop the driver thread. Running attempts go on, and `resume` finds them. May be called twice."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._executor.close()

    def _layout(self, launch: Launch, *, former: bool = False) -> DataLayout:
        return DataLayout(self._data_root, launch.id, launch.raw_output_prefix, former=former)

    def _driver(self, launch: Launch, layout: DataLayout) -> Driver:
        return Driver(
            launch,
            plan_of(launch.closure),
            layout,
            Values(self._store, self._services.offloading),
            recorder=self._recorder,
            executor=self._executor,
            clock=self._clock,
            catalog=self._catalog,
            reservations=self._reservations,
            services=self._services,
        )

    def _take(self, driver: Driver, *, resumed: bool) -> None:
        with self._ended:
            if self._closing:
                raise UsageError("This engine is closed. Make a new one.")
            if driver.id in self._drivers:
                raise UsageError(f"The execution {driver.id} is running here already.")
            self._drivers[driver.id] = driver
            # Within the lock, so that this is the first request about the execution.
            self._ask(lambda: self._adopt(driver) if resumed else self._agenda.wake(driver))

    def _ask(self, request: Callable[[], None]) -> None:
        self._requests.put(request)
        self._wake.set()

    # The driver thread

    def _woken(self, driver: Driver) -> Driver:
        """Have the driver stepped in this turn; return it."""
        self._agenda.wake(driver)
        return driver

    def _begin(self) -> None:
        """Start the thread. `testing.stepped_engine` takes the turns in its caller's thread instead."""
        self._thread.start()

    def _run(self) -> None:
        wait_s: float | None = None
        while not self._closing:
            self._wake.wait(wait_s)
            # Cleared before the turn: what happens during the turn wakes the thread again.
            self._wake.clear()
            if self._closing:
                return
            try:
                wait_s = self._turn()
            except Exception:  # noqa: BLE001 - outermost frame of the thread: it must not end
                _log.exception("The engine's turn failed. The engine goes on.")
                wait_s = _ASK_AGAIN_S

    def _turn(self) -> "float | None":
        """Do everything that can be done now; return how long to wait at most for the next turn."""
        unadopted, self._unadopted = self._unadopted, {}
        for driver in unadopted.values():
            self._adopt(driver)
        while True:
            try:
                request = self._requests.get_nowait()
            except Empty:
                break
            request()
        has_ended = self._take_reports()
        done = []
        now_us = self._clock()
        for driver, free in self._agenda.turn(self._executor.slots, now_us, has_ended=has_ended):
            # A driver whose attempts were not all adopted is not stepped: it could start a second attempt
            # of a node whose first one still lives. `_adopt` wakes it again.
            if driver.id in self._unadopted or self._drivers.get(driver.id) is not driver:
                self._agenda.forget(driver)
                continue
            self._step(driver, free)
            if driver.done:
                self._agenda.forget(driver)
                done.append(driver)
            elif self._drivers.get(driver.id) is driver:
                self._agenda.stepped(driver, free, now_us)
        self._remove(done)
        self._wake_those_without_result()
        return self._pause_s()

    def _take_reports(self) -> bool:
        """Let the drivers know which attempts have ended; return whether any has."""
        reports = self._executor.poll()
        for report in reports:
            driver = self._drivers.get(report.key.execution)
            if driver is not None and driver.id not in self._unadopted:
                self._agenda.wake(driver)
                self._report(driver, report)
                if (
                    driver.id in self._drivers
                ):  # else the report was the last thing that it could not take
                    self._agenda.count(driver)
        return bool(reports)

    def _wake_those_without_result(self) -> None:
        """Wake the executions that waited for a reservation which is free now."""
        for id in self._reservations.take_freed():
            driver = self._drivers.get(id)
            if driver is not None:
                self._agenda.wake(driver)

    def _adopt(self, driver: Driver) -> None:
        try:
            driver.adopt()
        except OSError as error:
            # An attempt of it may live. So neither giving up nor starting is safe, only asking again.
            _log.warning("%s: cannot take over its attempts, trying again: %s", driver.id, error)
            self._unadopted[driver.id] = driver
        else:
            self._agenda.wake(driver)
            self._agenda.count(driver)

    def _step(self, driver: Driver, free: int) -> None:
        try:
            driver.expire()
            driver.step(free)
        except Gone as error:
            # Somebody deleted the execution. Nothing of it can be recorded, and so nothing may run.
            _log.warning("%s: %s", driver.id, error)
            driver.abandon()
            self._remove([driver])
        except Exception as error:  # noqa: BLE001 - one execution must not stop the others
            self._crashed(driver, error)

    def _report(self, driver: Driver, report: AttemptReport) -> None:
        try:
            driver.report(report)
        except Exception as error:  # noqa: BLE001 - it must not keep the other reports from their drivers
            self._crashed(driver, error)

    def _crashed(self, driver: Driver, met: Exception) -> None:
        _log.error("%s: the engine cannot go on with this execution.", driver.id, exc_info=met)
        text = (
            "The engine met an error of its own and cannot go on with this execution:"
            f" {type(met).__name__}: {met}. Please report it, with the backend's log."
        )
        error = ErrorInfo("SYSTEM:EngineError", text, SYSTEM)
        driver.crashes += 1
        if driver.crashes < _MAX_CRASHES:
            driver.fail(error)
            driver.outbox.retry_later()
            return
        # Recording the failure fails as well. Going on would only fill the log.
        _log.error(
            "%s: the engine leaves it alone until the next restart, and ends its attempts.",
            driver.id,
        )
        driver.abandon()
        self._remove([driver])

    def _remove(self, done: list[Driver]) -> None:
        if not done:
            return
        with self._ended:
            for driver in done:
                driver.turns.release_all()
                self._agenda.forget(driver)
                self._drivers.pop(driver.id, None)
            self._ended.notify_all()
        # An execution may be the child of another one, which waits for its end.
        for gone in done:
            parent_id = self._families.ended(gone.id) if self._families is not None else None
            parent = self._drivers.get(parent_id) if parent_id is not None else None
            if parent is not None and parent.children.ended(gone.id):
                self._agenda.wake(parent)
                self._wake.set()

    def _pause_s(self) -> "float | None":
        """Return how long nothing has to be done unless something wakes the thread; `None` means for ever."""
        at_us = self._agenda.next_us()
        if at_us == 0:
            return 0.0
        longest_s = _ASK_AGAIN_S if self._unadopted else _MAX_PAUSE_S
        if at_us is None:
            return _ASK_AGAIN_S if self._unadopted else None
        return min(longest_s, max(0.001, (at_us - self._clock()) / 1e6))


def system_clock() -> int:
    """Return the system's time in microseconds since 1970-01-01T00:00Z."""
    return time.time_ns() // 1000
