"""The warm host's process: attempts come over a socket, and each is carried out in a thread.

A frame (see `flyte_nb/pipe/sockets.py`) is one of `attempt`, with the descriptors of its standard
output, its standard error and, where there is one, its lock; and `signal`. Back come `ended`, and
`cold` for an attempt that has to be run cold, because this process will not.
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
from flyte_nb.runtime.attempt import Attempt
from flyte_nb.runtime.host import carry_out, conclude, unforeseen
from flyte_nb.runtime.options import Options, parse
from flyte_nb.runtime.process import Worker
from flyte_nb.runtime.warm.crew import Crew
from flyte_nb.runtime.warm.forked import ForkedChild
from flyte_nb.runtime.warm.zygotes import Key, Unfit, Zygote, Zygotes
from flyte_nb.storage import open_stores, variables_of_stores
from flyte_nb.storage.work_folders import sweep

_TICK_MS = 5000
"""How often idle zygotes are looked for."""
_SWITCH_S = 0.02
"""What threads here do between two waits takes less: cut short, they only take turns at the interpreter."""


def main(descriptor: int) -> None:
    """Serve the socket until its other end is closed and no attempt runs any more."""
    signals.reset()
    sys.setswitchinterval(_SWITCH_S)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    sweep()
    host = WarmHost(control)
    host.run()
    host.close()


class WarmHost:
    """Carries out the attempts that come over `control`."""

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
        """Take attempts until nobody sends any more."""
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
            if running is not None:
                running.signal(message["number"])

    def close(self) -> None:
        """End the zygotes, wait for the attempts that run, and end theirs."""
        self._zygotes.close()  # what a task needs that runs for hours is its own zygote alone
        self._crew.close()
        self._zygotes.close()

    def _start(self, message: "dict[str, Any]", fds: "list[int]") -> None:
        base = message.get("base")
        if base is not None:  # else it is the last one's
            self._base = _Base.of(base)
        running = _Running(message, fds, self._store, self._zygotes, self._base, self._reached)
        with self._lock:
            self._running[message["id"]] = running
        self._crew.do(partial(self._carry_out, message["id"], running))

    def _carry_out(self, id: str, running: "_Running") -> None:
        try:
            answer = running.carry_out()
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: somebody waits
            answer = running.given_up(error)
        with self._lock:
            del self._running[id]
        running.close()  # first: the attempt's lock is free when its end is told
        with suppress(OSError), self._sending:
            send(self._control, {"id": id, **answer})


class _Base(NamedTuple):
    """Variables that many attempts have, and what is asked of them, which takes a while."""

    variables: "dict[str, str]"
    in_order: "tuple[tuple[str, str], ...]"
    of_stores: "dict[str, str]"

    @classmethod
    def of(cls, variables: "dict[str, str]") -> "_Base":
        """What these variables are."""
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
        """Send it to the attempt's processes; later, when it has none yet."""
        with self._lock:
            if self._worker is None:
                self._signals.append(number)
            else:
                self._pass_on(self._worker, number)

    def carry_out(self) -> "dict[str, Any]":
        """Do all of it; what the backend is told."""
        try:
            options = parse(self._message["arguments"])
            own = self._message["own"]
            self._environ = {**self._base.variables, **own}
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
            broken = broken or (self._child is not None and self._child.orphaned)
            if self._folder:
                zygote.take_folder(self._folder)
            self._zygotes.give_back(zygote, broken=broken)
        child = self._child
        cpu_s, max_rss = (child.cpu_s, child.max_rss) if child is not None else (None, None)
        return {"kind": "ended", "exit_code": status, "cpu_s": cpu_s, "max_rss": max_rss}

    def given_up(self, error: Exception) -> "dict[str, Any]":
        """What the backend is told after an error that nobody foresaw; cold if nothing has begun."""
        info = unforeseen(error)
        if self._child is None:
            return {"kind": "cold", "why": info.message}
        self._say(f"{info.code}: {info.message}\n")
        return {"kind": "ended", "exit_code": 1, "cpu_s": None, "max_rss": None}

    def close(self) -> None:
        """Let go of the descriptors that came with it."""
        for descriptor in self._fds:
            os.close(descriptor)

    def _key(self, options: Options) -> Key:
        return Key(options.index_file_location, options.task, self._base.in_order)

    def _fork(self, zygote: Zygote) -> Worker:
        child_read, own_write = os.pipe()
        own_read, child_write = os.pipe()
        message = {
            "folder": self._folder,
            "cwd": self._message["cwd"],
            "environ": self._message["own"],
        }
        try:
            # Noted before any of the task's code runs: a backend that starts again can end it.
            note = partial(_note, self._message["note"])
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
            for number in self._signals:
                self._pass_on(worker, number)
        return worker

    def _serve(self, options: Options, worker: Worker, fetched: Fetched) -> int:
        attempt = _WarmAttempt(
            options, self._store, worker, self._folder, self._environ, fetched, self._say
        )
        info: ErrorInfo | None
        try:
            info = carry_out(attempt, worker)
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame
            info = unforeseen(error)
        return conclude(info, options, self._store, self._say)

    def _say(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._fds[1], text.encode("utf-8", "backslashreplace"))

    def _pass_on(self, worker: Worker, number: int) -> None:
        if number == SIGTERM:
            worker.forward_sigterm()
        elif self._child is not None:
            self._child.signal(number)


class _WarmAttempt(Attempt):
    """An attempt whose bundle was fetched and verified before its zygote loaded it."""

    def __init__(
        self,
        options: Options,
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


def _note(path: str, child: ForkedChild) -> None:
    """Say which process it is, as `AttemptFolder` of propeller's executors reads it."""
    if path:
        with open(path, "wb", buffering=0) as file:  # one write: a reader sees it whole or empty
            file.write(json.dumps({"pid": child.pid, "started_s": child.started_s}).encode())
