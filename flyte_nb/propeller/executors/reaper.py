"""Watches processes of attempts until they end: one thread, children and adopted ones alike.

A child is waited for by its pidfd where the system has them (Linux), else by asking every 20 ms; an
adopted process, which is nobody's child here, by its lock; one that somebody else started for us, by
what that one tells. What remains of an attempt's process group
is ended before its end is told, and before the group's number can be used again.
"""

import logging
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import psutil

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder, end_all, signal_all
from flyte_nb.propeller.ports import Attempt
from flyte_nb.runtime.memory import MemoryWatch

_log = logging.getLogger(__name__)

_ASK_S = 0.02
"""How often a process is asked for that cannot be waited for."""
_LOCK_WAIT_S = 5.0


class Exit(NamedTuple):
    """How a watched process ended; all `None` for an adopted one."""

    exit_code: "int | None" = None
    """As `subprocess` has it: negative is the signal that killed it."""
    cpu_s: "float | None" = None
    max_rss_bytes: "int | None" = None


class Watched:
    """One attempt whose process is watched."""

    def __init__(
        self,
        attempt: Attempt,
        folder: AttemptFolder,
        pid: "int | None" = None,
        away: "Callable[[int], None] | None" = None,
    ) -> None:
        """Args: pid: the child; `None` for others. away: sends a signal to a process that is told of."""
        self.attempt = attempt
        self.folder = folder
        self.pid = pid
        self.pidfd = -1
        self.away = away
        self.told: Exit | None = None
        """How a process that is told of ended."""
        self.presumed = Exit()
        """How it ended when no report of its end arrives."""
        self.memory = MemoryWatch()
        self.error: ErrorInfo | None = None
        """Why it never ran, when that came out late."""
        self.kill_at: float | None = None  # time.monotonic() at which asking nicely is over
        self.killed = False


OnExit = Callable[[Watched, Exit], None]


class Reaper:
    """The thread `flyte-nb-reaper`. `on_exit` is called from it, once for each watched process."""

    def __init__(self, on_exit: OnExit, *, grace_s: float) -> None:
        """Start the thread. `grace_s`: from SIGTERM to SIGKILL."""
        self._on_exit = on_exit
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._watched: dict[int, Watched] = {}  # by id(); guarded by `_lock`
        self._selector = selectors.DefaultSelector()  # used by the thread alone
        self._new: list[Watched] = []  # guarded by `_lock`
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._closing = False
        self._selector.register(self._reading, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="flyte-nb-reaper", daemon=True)
        self._thread.start()

    def watch(self, watched: Watched) -> None:
        """Tell when it ends."""
        with self._lock:
            self._watched[id(watched)] = watched
            self._new.append(watched)
        self._nudge()

    def kill(self, watched: Watched) -> None:
        """End all its processes: SIGTERM now, SIGKILL after the grace."""
        with self._lock:
            if id(watched) not in self._watched or watched.kill_at is not None:
                return
            watched.kill_at = time.monotonic() + self._grace_s
            self._signal(watched, signal.SIGTERM)
        self._nudge()

    def tell(self, watched: Watched, exit: Exit) -> None:
        """A process that somebody else started for us has ended."""
        with self._lock:
            watched.told = exit
        self._nudge()

    def take_home(self, watched: Watched, pid: "int | None") -> None:
        """Nobody tells of it any more: it is the child `pid`, or left alone like an adopted one."""
        with self._lock:
            watched.away, watched.pid = None, pid
            if id(watched) in self._watched:
                self._new.append(watched)
            if watched.kill_at is not None:
                self._signal(watched, signal.SIGTERM)
        self._nudge()

    def close(self) -> None:
        """Stop watching; the processes go on. May be called twice."""
        if self._closing:
            return
        self._closing = True
        self._nudge()
        self._thread.join()
        for watched in self._watched.values():
            if watched.pidfd >= 0:
                os.close(watched.pidfd)
        self._selector.close()
        os.close(self._reading)
        os.close(self._writing)

    def _nudge(self) -> None:
        with suppress(BlockingIOError):  # full: the thread is awake anyway
            os.write(self._writing, b"!")

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select(self._pause_s())
            for found, _ in ready:
                if found.fd == self._reading:
                    os.read(self._reading, 4096)
            self._register()
            ended = {id(found.data) for found, _ in ready if found.data is not None}
            with self._lock:
                watched = list(self._watched.values())
            for one in watched:
                try:
                    self._look(one, known_ended=id(one) in ended)
                except Exception:  # noqa: BLE001 - outermost frame of the thread: it must not end
                    _log.exception("Watching %s failed; trying again.", one.attempt.key)

    def _register(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        for watched in new:
            if watched.pid is not None and hasattr(os, "pidfd_open"):
                with suppress(OSError):
                    watched.pidfd = os.pidfd_open(watched.pid)
                    self._selector.register(watched.pidfd, selectors.EVENT_READ, watched)

    def _pause_s(self) -> "float | None":
        with self._lock:
            watched = list(self._watched.values())
        if any(one.pidfd < 0 and one.away is None for one in watched):
            return _ASK_S
        times = [one.kill_at for one in watched if one.kill_at is not None and not one.killed]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _look(self, watched: Watched, *, known_ended: bool) -> None:
        """Whether it has ended, and then the rest; or force it to."""
        if known_ended or self._has_ended(watched):
            exit = self._bury(watched)
            self._on_exit(watched, exit)
        elif watched.kill_at is not None and time.monotonic() >= watched.kill_at:
            with self._lock:
                watched.killed = True
                watched.kill_at = time.monotonic() + 1.0  # again, should something have been missed
                self._signal(watched, signal.SIGKILL)

    def _has_ended(self, watched: Watched) -> bool:
        if watched.told is not None:
            return True
        if watched.away is not None:
            return False
        if watched.pid is None:
            return not watched.folder.is_locked()
        if watched.pidfd >= 0:
            return False
        try:
            return psutil.Process(watched.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def _bury(self, watched: Watched) -> Exit:
        """End what is left of the attempt, and take the child's exit."""
        with self._lock:
            if watched.pidfd >= 0:
                self._selector.unregister(watched.pidfd)
                os.close(watched.pidfd)
                watched.pidfd = -1
            exit = watched.told or watched.presumed
            if watched.pid is not None:
                # The child is a zombie until wait4, so its number, the group's, is still its own.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(watched.pid, signal.SIGKILL)
                exit = wait_for(watched.pid)
            del self._watched[id(watched)]
        is_adopted = watched.pid is None and watched.told is None
        if is_adopted or watched.kill_at is not None:
            end_all(watched.folder)
        give_up = time.monotonic() + _LOCK_WAIT_S
        while watched.folder.is_locked() and time.monotonic() < give_up:
            time.sleep(_ASK_S)  # a forced process is on its way out
        return exit

    def _signal(self, watched: Watched, number: int) -> None:
        """To the whole attempt. With `_lock` held, so that a child cannot be waited for meanwhile."""
        if watched.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(watched.pid, number)
        elif watched.away is not None:
            watched.away(number)
        is_adopted = watched.pid is None and watched.away is None
        if is_adopted or number == signal.SIGKILL:
            signal_all(watched.folder, number)


def wait_for(pid: int) -> Exit:
    """The exit of a child that has ended; nothing is known when somebody else waited for it."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return Exit()
    return Exit(
        os.waitstatus_to_exitcode(status),
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * RSS_UNIT,
    )


RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024
"""`ru_maxrss` is in bytes on macOS, in kilobytes elsewhere (getrusage(2))."""
