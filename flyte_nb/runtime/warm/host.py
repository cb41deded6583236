"""The warm host's process: attempts come over a socket, and each is run in a thread.

The frames (see `flyte_nb/pipe/sockets.py`) that arrive are `attempt`, with the descriptors of its
standard output, its standard error and, if it has one, its lock; and `signal`. The answers are `ended`,
and `cold` for an attempt that this process does not run, so that it has to run cold.

Before a fork has begun, every failure is answered by `cold`: the cold attempt fails in the same way or,
if only the warm path was at fault, succeeds. After that, every failure is the attempt's own, since a
task must not run twice.
"""

import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from signal import SIGTERM
from typing import Any, NamedTuple

from flyte_nb.api.errors import ErrorInfo, FlyteNbError
from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.fetch import Fetched
from flyte_nb.pipe.pipe import Pipe
from flyte_nb.pipe.sockets import receive, send
from flyte_nb.runtime import signals
from flyte_nb.runtime.attempt import HostedAttempt
from flyte_nb.runtime.host import carry_out, conclude, unforeseen
from flyte_nb.runtime.limits import ProcessLimits
from flyte_nb.runtime.options import Options, parse
from flyte_nb.runtime.process import Worker
from flyte_nb.runtime.warm.crew import Crew
from flyte_nb.runtime.warm.forked import ForkedChild
from flyte_nb.runtime.warm.zygote_process import Key, Unfit, ZygoteProcess
from flyte_nb.runtime.warm.zygotes import Zygotes
from flyte_nb.storage import open_stores, variables_of_stores
from flyte_nb.storage.work_folders import sweep

_TICK_MS = 5000
"""How long to wait for an attempt before looking for idle zygotes."""
_SWITCH_S = 0.02
"""How long a thread may keep the interpreter.

A thread here works less than this between two waits. With Python's 5 ms it would often be interrupted
in the middle, and all threads would finish later."""


def main(descriptor: int) -> None:
    """Serve the socket until its other end is closed and the last attempt has ended."""
    # Zygotes and their forks inherit which signals this process ignores, and tasks would not see those.
    signals.reset()
    sys.setswitchinterval(_SWITCH_S)
    control = socket.socket(fileno=descriptor)
    # The descriptor was inherited. Programs that this process starts must not hold the socket open.
    control.set_inheritable(False)
    sweep()
    host = WarmHost(control)
    host.run()
    host.close()


class WarmHost:
    """Runs the attempts that come over `control`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sending = threading.Lock()
        self._store = open_stores()
        self._zygotes = Zygotes(self._store)
        self._reached = variables_of_stores(os.environ)
        self._base = _Base.of({})
        self._crew = Crew()
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}  # guarded by `_lock`

    def run(self) -> None:
        """Take attempts until the other end is closed."""
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        while True:
            if not waiting.poll(_TICK_MS):
                self._zygotes.expire()
                continue
            frame = receive(self._control)
            if frame is None:
                return
            message, fds = frame
            if message["kind"] == "attempt":
                self._start(message, fds)
                continue
            with self._lock:
                running = self._running.get(message["id"])
            # The attempt may have ended meanwhile.
            if running is not None:
                running.signal(message["number"])

    def close(self) -> None:
        """End the idle zygotes, wait for the attempts that run, and end their zygotes."""
        # An attempt may run for hours. It needs its own zygote only.
        self._zygotes.close()
        self._crew.close()
        self._zygotes.close()

    def _start(self, message: "dict[str, Any]", fds: "list[int]") -> None:
        base = message.get("base")
        if base is not None:  # otherwise it is that of the attempt before
            self._base = _Base.of(base)
        running = _Running(message, fds, self._store, self._zygotes, self._base, self._reached)
        with self._lock:
            self._running[message["id"]] = running
        self._crew.do(partial(self._carry_out, message["id"], running))

    def _carry_out(self, id: str, running: "_Running") -> None:
        try:
            answer = running.carry_out()
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: the backend waits
            answer = running.given_up(error)
        with self._lock:
            del self._running[id]
        # Before the answer: who hears that the attempt has ended finds its lock free.
        running.close()
        # When the backend is dead nobody listens. The attempt has written its results to the store itself.
        with suppress(OSError), self._sending:
            send(self._control, {"id": id, **answer})


class _Base(NamedTuple):
    """Variables that many attempts share, with what takes long to compute from them."""

    variables: "dict[str, str]"
    in_order: "tuple[tuple[str, str], ...]"
    """Sorted, for a zygote's key."""
    of_stores: "dict[str, str]"
    """Those that decide how stores are reached."""

    @classmethod
    def of(cls, variables: "dict[str, str]") -> "_Base":
        """Compute the value for these variables."""
        in_order = tuple(sorted(variables.items()))
        return cls(variables, in_order, variables_of_stores(variables))


class _Running:
    """One attempt."""

    def __init__(
        self,
        message: "dict[str, Any]",
        fds: "list[int]",
        store: BlobStore,
        zygotes: Zygotes,
        base: _Base,
        reached: "Mapping[str, str]",
    ) -> None:
        self._message = message
        self._fds = fds
        self._store = store
        self._zygotes = zygotes
        self._base = base
        self._reached = reached
        self._lock = threading.Lock()
        self._worker: Worker | None = None  # guarded by `_lock`, as is the next
        self._signals: list[int] = []
        self._child: ForkedChild | None = None
        self._folder = ""
        self._environ: dict[str, str] = {}

    def signal(self, number: int) -> None:
        """Send a signal to the attempt's processes, or keep it until the attempt has one."""
        with self._lock:
            if self._worker is None:
                self._signals.append(number)
            else:
                self._pass_on(self._worker, number)

    def carry_out(self) -> "dict[str, Any]":
        """Run the whole attempt; return the answer for the backend."""
        try:
            options = parse(self._message["arguments"])
            own = self._message["own"]
            self._environ = {**self._base.variables, **own}
            # This process has one way to each store, with one set of credentials. An attempt with
            # others must not read or write with ours.
            if {**self._base.of_stores, **variables_of_stores(own)} != self._reached:
                raise Unfit("it reaches its stores in another way than this process")
            zygote = self._zygotes.take(self._key(options))
        except (Unfit, FlyteNbError, OSError) as error:
            return {"kind": "cold", "why": str(error)}
        broken = False
        try:
            self._folder = zygote.lend_folder()
            worker = self._fork(zygote)
            status = self._serve(options, worker, zygote.fetched)
        except (Unfit, OSError) as error:
            broken = isinstance(error, Unfit)
            return {"kind": "cold", "why": str(error)}
        finally:
            # An orphaned fork means that its zygote is dead, so no other attempt can have that one.
            broken = broken or (self._child is not None and self._child.orphaned)
            if self._folder:
                zygote.take_folder(self._folder)
            self._zygotes.give_back(zygote, broken=broken)
        child = self._child
        cpu_s, max_rss = (child.cpu_s, child.max_rss) if child is not None else (None, None)
        return {"kind": "ended", "exit_code": status, "cpu_s": cpu_s, "max_rss": max_rss}

    def given_up(self, error: Exception) -> "dict[str, Any]":
        """Return the answer after an unexpected exception: `cold` if the attempt has not begun."""
        info = unforeseen(error)
        # With a child, code of the task may have run, and it must not run a second time.
        if self._child is None:
            return {"kind": "cold", "why": info.message}
        self._say(f"{info.code}: {info.message}\n")
        return {"kind": "ended", "exit_code": 1, "cpu_s": None, "max_rss": None}

    def close(self) -> None:
        """Close the descriptors that came with the attempt."""
        for descriptor in self._fds:
            os.close(descriptor)

    def _key(self, options: Options) -> Key:
        return Key(options.index_file_location, options.task, self._base.in_order)

    def _fork(self, zygote: ZygoteProcess) -> Worker:
        """Let a fork of the zygote begin the attempt; return it as a worker."""
        child_read, own_write = os.pipe()
        own_read, child_write = os.pipe()
        message = {
            "folder": self._folder,
            "cwd": self._message["cwd"],
            "environ": self._message["own"],
        }
        try:
            # Written before any code of the task runs, so that a backend that restarts can end the process.
            note = partial(_note, self._message["note"], self._message.get("limits"))
            self._child = zygote.fork(message, (child_read, child_write, *self._fds), note)
        except (Unfit, OSError):
            os.close(own_read)
            os.close(own_write)
            raise
        finally:
            os.close(child_read)
            os.close(child_write)
        pipe = Pipe(own_read, own_write, self._folder)
        worker = Worker(pipe, self._child, environ=self._environ)
        with self._lock:
            self._worker = worker
            # Those that came while the attempt had no process.
            for number in self._signals:
                self._pass_on(worker, number)
        return worker

    def _serve(self, options: Options, worker: Worker, fetched: Fetched) -> int:
        attempt = _LoadedAttempt(
            options,
            store=self._store,
            worker=worker,
            folder=self._folder,
            environ=self._environ,
            fetched=fetched,
            say=self._say,
        )
        info: ErrorInfo | None
        try:
            info = carry_out(attempt, worker)
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame
            info = unforeseen(error)
        return conclude(info, options, self._store, self._say)

    def _say(self, text: str) -> None:
        with suppress(OSError):
            # The attempt's own standard error: what this process prints goes into the host's log.
            os.write(self._fds[1], text.encode("utf-8", "backslashreplace"))

    def _pass_on(self, worker: Worker, number: int) -> None:
        # After SIGTERM a worker gets time to save its state, and is killed when that is over.
        if number == SIGTERM:
            worker.forward_sigterm()
        elif self._child is not None:
            self._child.signal(number)


class _LoadedAttempt(HostedAttempt):
    """An attempt whose bundle was fetched and verified before its zygote loaded it."""

    def __init__(
        self,
        options: Options,
        *,
        store: BlobStore,
        worker: Worker,
        folder: str,
        environ: "Mapping[str, str]",
        fetched: Fetched,
        say: "Callable[[str], object]",
    ) -> None:
        super().__init__(options, store, worker, folder, time.sleep, environ, say)
        self._fetched = fetched

    def _fetch(self) -> Fetched:
        return self._fetched


def _note(path: str, limits: "list[Any] | None", child: ForkedChild) -> None:
    """Apply the attempt's limits, and write which process has it, as `AttemptFolder.process` reads it."""
    if limits:
        # Before any code of the task runs, so that nothing can exceed them first.
        ProcessLimits(*limits).apply(child.pid)
    if path:
        # One write without a buffer: a reader finds the whole note, or an empty file.
        with open(path, "wb", buffering=0) as file:
            file.write(json.dumps({"pid": child.pid, "started_s": child.started_s}).encode())
