"""Carry an execution's views from the watch stream to a painter, at a pace that a page can follow.

The pump owns two daemon threads:

- The *reader* waits on the stream. It keeps the newest view and drops older ones that were not painted:
  a view is complete, so nothing is lost.
- The *painting thread* is the only one that calls the painter and the execution's RPCs. So the painter
  needs no locks, and widgets are written by one thread.

The painting thread paints a change at once if the last painting is at least `min_interval_s` old, else when
it is that old. While nothing changes it paints every `tick_s`, because elapsed times go on. In between it
runs what was submitted by callbacks of widgets, which may run in any thread. It ends after the terminal
view, after `stop`, or when the painter was garbage collected.
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
    """Receives views. Its methods are called in the painting thread and nowhere else."""

    def paint(self, view: ExecutionView) -> None:
        """Show the view: the execution changed, or time went on."""
        ...

    def finish(self, view: ExecutionView) -> None:
        """Show the last view: the execution has ended, and nothing is painted after this."""
        ...

    def lost(self, reason: str) -> None:
        """Show that the stream broke off, and why; nothing is painted after this."""
        ...


class Pump:
    """Follows one execution until it ends, and paints it."""

    def __init__(
        self,
        execution: ExecutionPort,
        painter: Painter,
        *,
        min_interval_s: float = 0.05,
        tick_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare both threads; `start` runs them.

        Args:
            execution: What to follow.
            painter: What to call. It is held weakly.
            min_interval_s: Seconds between two paintings at least. 50 ms is fast enough for an eye.
            tick_s: Seconds between two paintings while nothing changes.
            clock: Returns seconds that only grow.
        """
        self._execution = execution
        # Weak, because the painter owns the pump and the threads hold the pump. With a strong reference an
        # output that the page has dropped would be painted until its execution ends.
        self._painter = weakref.ref(painter)
        self._min_interval_s = min_interval_s
        self._tick_s = tick_s
        self._clock = clock
        self._changed = threading.Condition()
        self._actions: deque[Callable[[], None]] = deque()
        # All of these are guarded by `_changed`.
        self._latest: ExecutionView | None = None
        self._fresh = False  # whether `_latest` was not painted yet
        self._stopped = False
        self._lost = ""  # why the stream ended too early; empty while it has not
        name = f"flyte_nb-watch-{id(self):x}"
        self._reader = threading.Thread(target=self._read, name=f"{name}-read", daemon=True)
        self._worker = threading.Thread(target=self._work, name=f"{name}-paint", daemon=True)

    def start(self) -> None:
        """Start both threads. A pump is started once."""
        self._worker.start()
        self._reader.start()

    def stop(self) -> None:
        """Ask both threads to end. May be called from any thread, also from the painting thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, timeout_s: "float | None" = None) -> bool:
        """Wait until the painting thread has ended; return whether it has within `timeout_s`."""
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def submit(self, action: "Callable[[], None]") -> None:
        """Run `action` in the painting thread as soon as it is free. May be called from any thread."""
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
        painted_at = -self._min_interval_s  # so that the first view is painted at once
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
                    painter.paint(view)
                    if view.is_terminal:
                        painter.finish(view)
                        return
            except Exception as error:  # noqa: BLE001 - the thread's outermost frame
                if self._stopped:  # the widgets were closed while it painted
                    return
                _LOG.exception("a live view could not be painted")
                painter.lost(f"{type(error).__name__}: {error}")
                return
            # Without this the local variable would keep the painter alive during the wait.
            del painter

    def _wait(
        self, painted_at: float
    ) -> "tuple[list[Callable[[], None]], ExecutionView | None, str, bool]":
        """Sleep until there is something to do, and take it.

        Args:
            painted_at: When the last painting began, by the pump's clock.

        Returns:
            The actions to run, the view to paint (`None`: none is due), the reason why the stream broke
            off (empty: it did not, or a view has to be painted first), and whether to end.
        """
        with self._changed:
            while True:
                now = self._clock()
                due = painted_at + (self._min_interval_s if self._fresh else self._tick_s)
                idle = self._latest is None or now < due
                if self._stopped or self._actions or self._lost or not idle:
                    break
                left = self._tick_s if self._latest is None else due - now
                self._changed.wait(min(left, self._tick_s))
                # Nobody notifies when the painter is collected, so it is looked for after each wait.
                if self._painter() is None:
                    return [], None, "", True
            actions = list(self._actions)
            self._actions.clear()
            view = None if idle else self._latest
            if view is not None:
                self._fresh = False
            # The last view before the stream broke off is still painted before the loss is reported.
            return actions, view, "" if self._fresh else self._lost, self._stopped
