"""Watch the processes of attempts until they end: one thread for all of them.

Three kinds of processes are watched, and the end of each is noticed in its own way:

- a *child* by its pidfd where the system has them (Linux), else by asking every 20 ms;
- an *adopted* process, which a former backend started and which is nobody's child here, by its lock;
- a *remote* process, which the warm host forked, by the report that comes over the link (`ended`).

What is left of the attempt's process group is killed before its end is reported, and before the group's
number can be used again.
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
"""How often to ask for the end of a process that cannot be waited for."""
_LOCK_WAIT_S = 5.0


class Exit(NamedTuple):
    """How a watched process ended. All fields are `None` for an adopted one: only a parent learns them."""

    exit_code: "int | None" = None
    """As in `subprocess`: negative is the signal that killed the process."""
    cpu_s: "float | None" = None
    max_rss_bytes: "int | None" = None


class Watched:
    """One attempt whose process is watched."""

    def __init__(
        self,
        attempt: Attempt,
        folder: AttemptFolder,
        pid: "int | None" = None,
        send_signal: "Callable[[int], None] | None" = None,
    ) -> None:
        """Describe what is watched: a child, a remote process, or (with neither argument) an adopted one.

        Args:
            attempt: The attempt.
            folder: Its folder.
            pid: The child's number; `None` for other processes.
            send_signal: Sends a signal to a remote process; `None` for other processes.
        """
        self.attempt = attempt
        self.folder = folder
        self.pid = pid
        self.pidfd = -1
        self.send_signal = send_signal
        self.reported: Exit | None = None
        """How a remote process ended, once the warm host has reported it."""
        self.assumed = Exit()
        """How the process ended, if nobody reports it."""
        self.memory = MemoryWatch()
        self.error: ErrorInfo | None = None
        """Why the attempt could not be started, if that was found out after `start` had returned."""
        self.memory_limit = 0
        """How many bytes of memory it may use; 0 means no limit."""
        self.over_memory: ErrorInfo | None = None
        """The error of an attempt that was killed because it used more memory than it may."""
        self.kill_at: float | None = None
        """The `time.monotonic()` at which SIGTERM was long enough ago; `None` before SIGTERM."""
        self.killed = False
        """Whether SIGKILL was sent."""


OnExit = Callable[[Watched, Exit], None]


class Reaper:
    """The thread `flyte-nb-reaper`. It calls `on_exit` once for each watched process."""

    def __init__(self, on_exit: OnExit, *, grace_s: float) -> None:
        """Start the thread.

        Args:
            on_exit: Is called from the thread, after the last process of the attempt has ended.
            grace_s: Seconds between SIGTERM and SIGKILL.
        """
        self._on_exit = on_exit
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._watched: dict[int, Watched] = {}  # by id(); guarded by `_lock`
        self._selector = selectors.DefaultSelector()  # used by the thread only
        self._new: list[Watched] = []  # guarded by `_lock`
        # A byte in this pipe ends the thread's wait: a selector takes no new descriptors while
        # it waits.
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._closing = False
        self._selector.register(self._reading, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="flyte-nb-reaper", daemon=True)
        self._thread.start()

    def watch(self, watched: Watched) -> None:
        """Watch the process from now on."""
        with self._lock:
            self._watched[id(watched)] = watched
            # The end of a remote one will be reported: nothing has to be registered, and the thread need not
            # wake. It may also have been reported already, before anybody looked for it.
            will_be_reported = watched.send_signal is not None and watched.reported is None
            if watched.send_signal is None:
                self._new.append(watched)
        if not will_be_reported:
            self._nudge()

    def kill(self, watched: Watched) -> None:
        """End all processes of the attempt: SIGTERM now, SIGKILL after the grace. May be called twice."""
        with self._lock:
            if id(watched) not in self._watched or watched.kill_at is not None:
                return
            watched.kill_at = time.monotonic() + self._grace_s
            self._signal(watched, signal.SIGTERM)
        self._nudge()

    def ended(self, watched: Watched, exit: Exit) -> None:
        """Take the report that a remote process has ended."""
        with self._lock:
            watched.reported = exit
        self._nudge()

    def take_over(self, watched: Watched, pid: "int | None") -> None:
        """Watch a remote process as a child with the number `pid`, or as an adopted one when that is `None`.

        The warm host gave the attempt back and it was started cold, or the warm host is dead.
        """
        with self._lock:
            watched.send_signal, watched.pid = None, pid
            # A warm host may give an attempt back before `watch` was called for it; `watch` registers
            # it then.
            if id(watched) in self._watched:
                self._new.append(watched)
            if watched.kill_at is not None:
                # It was asked to end while the warm host had it, and this process has not heard of that.
                self._signal(watched, signal.SIGTERM)
        self._nudge()

    def close(self) -> None:
        """Stop watching. The processes go on. May be called twice."""
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
        """Have the selector watch the new children. Only the thread may change the selector."""
        with self._lock:
            new, self._new = self._new, []
        for watched in new:
            if watched.pid is not None and hasattr(os, "pidfd_open"):
                with suppress(OSError):
                    watched.pidfd = os.pidfd_open(watched.pid)
                    self._selector.register(watched.pidfd, selectors.EVENT_READ, watched)

    def _pause_s(self) -> "float | None":
        """Return how long to wait at most; `None` when every end wakes the thread."""
        with self._lock:
            watched = list(self._watched.values())
        if any(one.pidfd < 0 and one.send_signal is None for one in watched):
            return _ASK_S
        times = [one.kill_at for one in watched if one.kill_at is not None and not one.killed]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _look(self, watched: Watched, *, known_ended: bool) -> None:
        """Report the process if it has ended; kill it if its grace is over."""
        if known_ended or self._has_ended(watched):
            exit = self._bury(watched)
            self._on_exit(watched, exit)
        elif watched.kill_at is not None and time.monotonic() >= watched.kill_at:
            with self._lock:
                watched.killed = True
                # Once more in a second: a process that was being forked during the first kill escaped it.
                watched.kill_at = time.monotonic() + 1.0
                self._signal(watched, signal.SIGKILL)

    def _has_ended(self, watched: Watched) -> bool:
        if watched.reported is not None:
            return True
        if watched.send_signal is not None:
            return False
        if watched.pid is None:
            return not watched.folder.is_locked()
        if watched.pidfd >= 0:
            return False  # the selector reports its end
        try:
            return psutil.Process(watched.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def _bury(self, watched: Watched) -> Exit:
        """Kill what is left of the attempt, and return how its process ended."""
        with self._lock:
            if watched.pidfd >= 0:
                self._selector.unregister(watched.pidfd)
                os.close(watched.pidfd)
                watched.pidfd = -1
            exit = watched.reported or watched.assumed
            if watched.pid is not None:
                # Until wait4 the child is a zombie and keeps its number, which is also the group's. So
                # this kill cannot meet a stranger. After wait4 it could.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(watched.pid, signal.SIGKILL)
                exit = wait_for(watched.pid)
            del self._watched[id(watched)]
        # Searching all processes takes long. It is needed where we could not kill the group, and for an
        # attempt that had to end: what left its group must end too. After an ordinary end, a daemon
        # that the task started in a session of its own may go on.
        is_adopted = watched.pid is None and watched.reported is None
        if is_adopted or watched.kill_at is not None:
            end_all(watched.folder)
        give_up = time.monotonic() + _LOCK_WAIT_S
        while watched.folder.is_locked() and time.monotonic() < give_up:
            time.sleep(_ASK_S)  # a killed process holds its lock until it is gone
        return exit

    def _signal(self, watched: Watched, number: int) -> None:
        """Send a signal to the whole attempt. The caller holds `_lock`.

        The lock keeps the thread from waiting for the child meanwhile. Its number would be free then,
        and the signal could meet another process.
        """
        if watched.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(watched.pid, number)
        elif watched.send_signal is not None:
            watched.send_signal(number)
        # SIGTERM goes to the process group only: what left it by `setsid` wants to be on its own.
        # SIGKILL and an adopted attempt, whose group may have lost its leader, need the search through
        # all processes.
        is_adopted = watched.pid is None and watched.send_signal is None
        if is_adopted or number == signal.SIGKILL:
            signal_all(watched.folder, number)


def wait_for(pid: int) -> Exit:
    """Wait for a child that has ended; return its exit, an empty one if other code waited for it before."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return Exit()
    return Exit(
        exit_code=os.waitstatus_to_exitcode(status),
        cpu_s=usage.ru_utime + usage.ru_stime,
        max_rss_bytes=usage.ru_maxrss * RSS_UNIT,
    )


RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024
"""Bytes in a unit of `ru_maxrss`, which counts bytes on macOS and kilobytes elsewhere (getrusage(2))."""
