"""The zygotes that a warm host keeps: started when first asked for, least used ones ended first."""

import os
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.fetch import Fetched, fetch
from flyte_nb.bundle.unpack import unpacked
from flyte_nb.pipe.sockets import receive, send
from flyte_nb.runtime import spawn
from flyte_nb.runtime.attempt import load_message
from flyte_nb.runtime.environments import interpreter_for
from flyte_nb.runtime.warm.forked import ForkedChild
from flyte_nb.runtime.warm.loaded import LoadedFiles
from flyte_nb.storage.work_folders import WorkFolder, remove

KEPT = 8
"""So many are kept at most, beside those that are at work."""
IDLE_S = 300.0
"""One that was not asked for this long is ended."""
SPARES = 8
"""So many forks of one wait for attempts at most; a frame has room for their descriptors."""
MAX_BYTES = 2 << 30
"""What the kept ones may have resident together."""
LOAD_S = 60.0
"""A task that takes longer to be loaded runs cold: there it can be ended meanwhile."""


class Unfit(Exception):
    """A task that cannot be run warm; says why."""


class Key(NamedTuple):
    """What a zygote is of: a task of a bundle, in an interpreter with an environment."""

    index_uri: str
    task: str
    environ: tuple[tuple[str, str], ...]
    """With it the interpreter, which a variable names."""


class Zygote:
    """A process that has loaded a task, and what it was loaded from.

    Raises:
        Unfit: when the task cannot be loaded, or not be forked.
        OSError: when the process cannot be started.
        BundleError, StorageError: when its bundle cannot be fetched.
        TaskFailed: when its environment cannot be made.
    """

    def __init__(
        self,
        key: Key,
        store: BlobStore,
        *,
        load_s: float = LOAD_S,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self._clock = clock
        self.in_flight = 0  # guarded by the lock of its `Zygotes`
        self.broken = False  # likewise
        self.used_at = time.monotonic()
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._pid = 0
        self._taking = threading.Lock()
        self._spares: deque[ForkedChild] = deque()  # guarded by `_taking`, as is the next
        self._asked = 0  # forks that have not come yet
        self._folders: list[str] = []  # of attempts, empty
        self._lent = count()
        self._work = WorkFolder()
        self._work.hold()
        self._folder = self._work.path
        try:
            fetched = fetch(key.index_uri, key.task, store, self._folder)
            self.fetched = unpacked(fetched, self._folder)
            self._start(dict(key.environ), self.fetched, load_s)
        except BaseException:
            self.close()
            raise

    @property
    def resident_bytes(self) -> int:
        """What it has resident, where the system says so."""
        try:
            with open(f"/proc/{self._pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            return 0

    def is_outdated(self) -> bool:
        """Return whether a file that it has loaded is another by now."""
        return self._loaded.have_changed()

    def fork(
        self,
        message: "Mapping[str, Any]",
        fds: "Sequence[int]",
        note: "Callable[[ForkedChild], object]",
    ) -> ForkedChild:
        """Have a fork begin an attempt, with its own copies of `fds`.

        `note` is told which process it will be, before any code of the task's runs.

        Raises:
            Unfit: when the zygote has ended.
            OSError: of `note`. Nothing was begun.
        """
        while True:
            try:
                child = self._spare()
            except OSError as error:
                raise Unfit(f"its zygote has ended: {error}") from error
            try:
                if child.poll() is None:
                    note(child)
                    with suppress(OSError):  # somebody ended it just now
                        child.begin(message, fds)
                        return child
            except OSError:
                child.close()
                raise
            child.close()
            if child.orphaned:
                raise Unfit("its zygote has ended")

    def lend_folder(self) -> str:
        """An empty folder for one attempt; give it back.

        Raises:
            OSError: when none can be made.
        """
        try:
            return self._folders.pop()
        except IndexError:
            path = os.path.join(self._folder, f"attempt-{next(self._lent)}")
            os.mkdir(path, 0o700)
            return path

    def take_folder(self, path: str) -> None:
        """The attempt has ended. Most leave nothing, and the next may have the same folder."""
        try:
            is_empty = not os.listdir(path)
        except OSError:
            return
        if is_empty:
            self._folders.append(path)
        else:
            remove(path)

    def close(self) -> None:
        """End it; it has nothing to do any more."""
        if self._control is not None:
            self._control.close()
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        for spare in self._spares:
            spare.close()
        self._work.remove()

    def _start(self, environ: "dict[str, str]", fetched: Fetched, load_s: float) -> None:
        self._interpreter = interpreter_for(fetched.lock, fetched.python, environ)
        if self._interpreter.path:
            environ = spawn.with_python(environ, self._interpreter.path)
        self._control, theirs = socket.socketpair()
        handed = theirs.fileno() + 1  # a number in the child; here nothing becomes inheritable
        writing = os.O_WRONLY | os.O_CREAT
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), handed),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.path.join(self._folder, "stdout"), writing, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, os.path.join(self._folder, "stderr"), writing, 0o600),
        ]
        with theirs:
            self._pid = spawn.start("zygote.py", (str(handed), self._folder), environ, actions)
        self._send({**load_message(fetched), "ring": fetched.ring})
        self._control.settimeout(load_s)
        try:
            answer = receive(self._control)
        except TimeoutError as error:
            raise Unfit(f"it was not loaded after {load_s:g} s") from error
        self._control.settimeout(None)
        if answer is None or answer[0]["kind"] != "ready":
            raise Unfit(answer[0]["why"] if answer else "its process ended while it was loaded")
        self._loaded = LoadedFiles(answer[0]["files"], self._clock)

    def _spare(self) -> ForkedChild:
        """A fork that waits for an attempt. A few are kept, and many asked for at a time.

        Raises:
            OSError: when the zygote has ended.
        """
        with self._taking:
            busy = max(self.in_flight, 1)
            left = len(self._spares) + self._asked - 1
            if left <= busy // 2:
                count = min(2 * busy, SPARES) - left
                self._send({"kind": "more", "count": count})
                self._asked += count
            if not self._spares:
                self._receive_spares()
            return self._spares.popleft()

    def _receive_spares(self) -> None:
        frame = None if self._control is None else receive(self._control)
        if frame is None:
            raise BrokenPipeError("closed")
        message, fds = frame
        for number, pid in enumerate(message["pids"]):
            signal = partial(self._signal, pid)
            waiting_fd, end_fd = fds[2 * number : 2 * number + 2]
            child = ForkedChild(pid, message["started_s"], waiting_fd, end_fd, signal)
            self._spares.append(child)
        self._asked -= len(message["pids"])

    def _signal(self, pid: int, number: int) -> None:
        with suppress(OSError):
            self._send({"kind": "signal", "pid": pid, "number": int(number)})

    def _send(self, message: "dict[str, Any]", fds: "tuple[int, ...]" = ()) -> None:
        if self._control is None:
            raise BrokenPipeError("closed")
        with self._lock:
            send(self._control, message, fds)


class _Place:
    """Where the zygote of a key is, or why there is none."""

    def __init__(self) -> None:
        self.starting = threading.Lock()
        self.zygote: Zygote | None = None
        self.unfit = ""
        self.takers = 0
        """Who is about to take it; guarded by the lock of its `Zygotes`."""


class Zygotes:
    """The zygotes by their keys. Safe from several threads."""

    def __init__(
        self,
        store: BlobStore,
        *,
        kept: int = KEPT,
        idle_s: float = IDLE_S,
        max_bytes: int = MAX_BYTES,
        load_s: float = LOAD_S,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self._store = store
        self._kept = kept
        self._idle_s = idle_s
        self._max_bytes = max_bytes
        self._load_s = load_s
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[Key, _Place] = OrderedDict()  # guarded by `_lock`

    def take(self, key: Key) -> Zygote:
        """The zygote of `key`, started when there is none; give it back.

        Raises:
            Unfit: when this task cannot be run warm. Others as of `Zygote`.
        """
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            place.takers += 1
        try:
            zygote = self._taken(place, key)
        finally:
            with self._lock:
                place.takers -= 1
        return zygote

    def give_back(self, zygote: Zygote, *, broken: bool = False) -> None:
        """An attempt has ended; a broken zygote is not used again."""
        with self._lock:
            zygote.in_flight -= 1
            zygote.used_at = self._clock()
            zygote.broken |= broken
            if broken:
                for place in self._places.values():
                    if place.zygote is zygote:
                        place.zygote = None
            unused = zygote.broken and not zygote.in_flight
        if unused:
            zygote.close()

    def expire(self) -> None:
        """End those that were not asked for a long time."""
        oldest = self._clock() - self._idle_s
        self._end(lambda zygote: zygote.used_at < oldest)
        self._shrink()  # some may have been at work when one too many came

    def close(self) -> None:
        """End all that are not at work."""
        self._end(lambda zygote: True)

    def _taken(self, place: _Place, key: Key) -> Zygote:
        with place.starting:
            if place.unfit:
                raise Unfit(place.unfit)
            if place.zygote is not None and place.zygote.is_outdated():
                self._drop(place.zygote)
            is_new = place.zygote is None
            if place.zygote is None:
                try:
                    started = Zygote(key, self._store, load_s=self._load_s, clock=self._clock)
                except Unfit as error:
                    place.unfit = str(error)
                    raise
                with self._lock:
                    place.zygote = started
            with self._lock:
                zygote = place.zygote
                zygote.in_flight += 1
        if is_new:  # the others are as large as they were: nothing grows by its forks
            self._shrink()
        return zygote

    def _drop(self, zygote: Zygote) -> None:
        """Use it for no other attempt; it ends when those that it has have ended."""
        with self._lock:
            zygote.in_flight += 1
        self.give_back(zygote, broken=True)

    def _shrink(self) -> None:
        """End the least used ones while there are too many, or they are too large."""
        with self._lock:
            found = [place.zygote for place in self._places.values() if place.zygote is not None]
            while len(self._places) > 16 * self._kept:  # notes of what is unfit do not pile up
                key, place = next(iter(self._places.items()))
                if place.zygote is not None or place.takers:
                    break
                del self._places[key]
        resident = 0
        for kept, zygote in enumerate(reversed(found), start=1):
            resident += zygote.resident_bytes
            if kept > 1 and (kept > self._kept or resident > self._max_bytes):
                self._end(lambda one, chosen=zygote: one is chosen)  # type: ignore[misc]

    def _end(self, chosen: "Callable[[Zygote], bool]") -> None:
        ended = []
        with self._lock:
            for place in self._places.values():
                zygote = place.zygote
                if zygote is not None and not zygote.in_flight and chosen(zygote):
                    place.zygote = None
                    ended.append(zygote)
        for zygote in ended:
            zygote.close()
