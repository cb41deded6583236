"""Carries an execution's views from the stream to whoever paints them, at a bearable pace.

Two daemon threads, both owned by the pump. The *reader* waits on the stream and keeps the newest view
only. The *painter* is the one thread that calls the painter's methods and the execution's RPCs: a
change at once if the last painting is `min_interval_s` old, else when it is; a tick every `tick_s`
while nothing changes (running times go on); and what was submitted from callbacks, which may run in
any thread. It ends after the terminal view, after `stop`, or when the painter is garbage collected.
"""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Protocol

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.executions.views import ExecutionView
from flyte_nb.notebook.kernel.ports import ExecutionPort

_LOG = logging.getLogger(__name__)


class Painter(Protocol):
    """What is called from the painting thread, and from nowhere else."""

    def paint(self, view: ExecutionView) -> None:
        """The execution changed, or time went on."""
        ...

    def finish(self, view: ExecutionView) -> None:
        """The execution has ended; nothing is painted after this."""
        ...

    def lost(self, reason: str) -> None:
        """The stream broke off; `reason` is for a person."""
        ...


class Pump:
    """Follows one execution until it ends."""

    def __init__(
        self,
        execution: ExecutionPort,
        painter: Painter,
        *,
        min_interval_s: float = 0.05,
        tick_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._execution = execution
        self._painter = weakref.ref(painter)
        self._min_interval_s = min_interval_s
        self._tick_s = tick_s
        self._clock = clock
        self._changed = threading.Condition()
        self._actions: deque[Callable[[], None]] = deque()
        self._latest: ExecutionView | None = None
        self._fresh = False
        self._stopped = False
        self._lost = ""
        name = f"flyte_nb-watch-{id(self):x}"
        self._reader = threading.Thread(target=self._read, name=f"{name}-read", daemon=True)
        self._worker = threading.Thread(target=self._work, name=f"{name}-paint", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._worker.start()
        self._reader.start()

    def stop(self) -> None:
        """Paint nothing any more. May be called from any thread, also from the painter's."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, timeout_s: "float | None" = None) -> bool:
        """Wait until the last painting is done; whether it is."""
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def submit(self, action: "Callable[[], None]") -> None:
        """Run `action` in the painting thread, soon. May be called from any thread."""
        with self._changed:
            self._actions.append(action)
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for view in self._execution.watch():
                with self._changed:
                    if self._stopped:
                        return
                    self._latest, self._fresh = view, True
                    self._changed.notify_all()
                if view.is_terminal:
                    return
            self._lose("The stream ended before the execution did.")
        except FlyteNbError as error:
            self._lose(str(error))
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame
            _LOG.exception("the stream of an execution broke off")
            self._lose(f"{type(error).__name__}: {error}")

    def _lose(self, reason: str) -> None:
        with self._changed:
            self._lost = reason
            self._changed.notify_all()

    def _work(self) -> None:
        painted_at = -self._min_interval_s
        while True:
            actions, view, lost, stopped = self._wait(painted_at)
            painter = self._painter()
            if stopped or painter is None:
                return
            try:
                for action in actions:
                    action()
                if lost:
                    painter.lost(lost)
                    return
                if view is not None:
                    painted_at = self._clock()
                    if view.is_terminal:
                        painter.paint(view)
                        painter.finish(view)
                        return
                    painter.paint(view)
            except Exception as error:  # noqa: BLE001 - the thread's outermost frame
                if self._stopped:  # what it painted on was closed meanwhile
                    return
                _LOG.exception("a live view could not be painted")
                painter.lost(f"{type(error).__name__}: {error}")
                return
            del painter  # so that the wait below does not keep it alive

    def _wait(
        self, painted_at: float
    ) -> "tuple[list[Callable[[], None]], ExecutionView | None, str, bool]":
        """Sleep until there is something to do; take it."""
        with self._changed:
            while True:
                now = self._clock()
                due = painted_at + (self._min_interval_s if self._fresh else self._tick_s)
                idle = self._latest is None or now < due
                if self._stopped or self._actions or self._lost or not idle:
                    break
                left = self._tick_s if self._latest is None else due - now
                self._changed.wait(min(left, self._tick_s))
                if self._painter() is None:
                    return [], None, "", True
            actions = list(self._actions)
            self._actions.clear()
            view = None if idle else self._latest
            if view is not None:
                self._fresh = False
            return actions, view, "" if self._fresh else self._lost, self._stopped
