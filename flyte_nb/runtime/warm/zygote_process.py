"""A zygote as the warm host sees it: start its process, get forks from it, end it.

The process itself is `flyte_nb/worker/zygote.py`. It is loaded from files in a private folder that were
verified when they were written. So nothing is fetched again for an attempt, and nothing that happens to
the staging area later can change what runs.
"""

import os
import socket
import threading
import time
from collections import deque
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

SPARES = 8
"""At most so many forks of a zygote wait: a frame carries at most 16 descriptors, two for each fork."""
LOAD_S = 60.0
"""Seconds for loading a task. One that takes longer runs cold, where it can be ended while it loads."""


class Unfit(Exception):
    """The task cannot be run warm; the message says why."""


class Key(NamedTuple):
    """What a zygote is kept for: a task of a bundle, in one environment."""

    index_uri: str
    """The index, whose name has its digest: changed code has another index, and so another zygote."""
    task: str
    environ: tuple[tuple[str, str], ...]
    """The variables, sorted. One of them names the interpreter."""


class ZygoteProcess:
    """A process that has loaded a task, the folder that it was loaded from, and its waiting forks.

    Raises:
        Unfit: when the task cannot be loaded, or its process cannot be forked.
        OSError: when the process cannot be started.
        BundleError: when its bundle is damaged.
        StorageError: when its bundle cannot be fetched.
        TaskFailed: when the environment of its requirements cannot be made.
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
        self.in_flight = 0  # attempts that have it; guarded by the lock of its `Zygotes`
        self.broken = False  # no further attempt may have it; likewise
        self.used_at = time.monotonic()
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._pid = 0
        self._taking = threading.Lock()
        self._spares: deque[ForkedChild] = deque()  # guarded by `_taking`, as is the next
        self._asked = 0  # forks that were asked for and have not arrived
        self._folders: list[str] = []  # empty folders for attempts
        self._lent = count()
        self._work = WorkFolder()
        self._work.hold()
        self._folder = self._work.path
        try:
            fetched = fetch(key.index_uri, key.task, store, self._folder)
            self.fetched = unpacked(fetched, self._folder)
            self._start(dict(key.environ), self.fetched, load_s)
        # Also after an interrupt, no process and no folder is left behind.
        except BaseException:
            self.close()
            raise

    @property
    def resident_bytes(self) -> int:
        """Return how much memory the process has resident; 0 where the system does not say."""
        try:
            with open(f"/proc/{self._pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            return 0

    def is_outdated(self) -> bool:
        """Return whether a file that the process has loaded was changed since."""
        return self._loaded.have_changed()

    def fork(
        self,
        message: "Mapping[str, Any]",
        fds: "Sequence[int]",
        note: "Callable[[ForkedChild], object]",
    ) -> ForkedChild:
        """Let a waiting fork begin an attempt, with its own copies of `fds`, and return it.

        Args:
            message: The attempt, as `worker/zygote.py` reads it.
            fds: Its descriptors.
            note: Is called with the fork before any code of the task runs. A backend that restarts
                finds the process by what it writes, so the attempt must not begin without it.

        Raises:
            Unfit: when the zygote has ended.
            OSError: when `note` raised it. Nothing was begun then.
        """
        while True:
            try:
                child = self._spare()
            except OSError as error:
                raise Unfit(f"its zygote has ended: {error}") from error
            try:
                # A fork may wait for minutes, and a person or the system may kill it meanwhile: then
                # take the next.
                if child.poll() is None:
                    note(child)
                    with suppress(OSError):  # it was killed in this moment
                        child.begin(message, fds)
                        return child
            except OSError:
                child.close()
                raise
            child.close()
            if child.orphaned:
                raise Unfit("its zygote has ended")

    def lend_folder(self) -> str:
        """Return an empty folder for one attempt. Give it back with `take_folder`.

        Raises:
            OSError: when the folder cannot be made.
        """
        try:
            # A list's `pop` is one step. Asking for its length first would be a race between threads.
            return self._folders.pop()
        except IndexError:
            path = os.path.join(self._folder, f"attempt-{next(self._lent)}")
            os.mkdir(path, 0o700)
            return path

    def take_folder(self, path: str) -> None:
        """Take back the folder of an attempt that has ended. If it is empty, the next attempt gets it.

        Most attempts leave nothing in it, and making and removing a folder takes longer than looking into it.
        """
        try:
            is_empty = not os.listdir(path)
        except OSError:
            return
        if is_empty:
            self._folders.append(path)
        else:
            remove(path)

    def close(self) -> None:
        """End the process and its waiting forks, and remove its folder. No attempt may have it any more."""
        if self._control is not None:
            self._control.close()
        if self._pid:
            with suppress(ProcessLookupError):
                # A zygote runs no task itself, so it has nothing to save.
                os.kill(self._pid, 9)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        for spare in self._spares:
            spare.close()
        self._work.remove()

    def _start(self, environ: "dict[str, str]", fetched: Fetched, load_s: float) -> None:
        """Start the process and wait until it has loaded the task."""
        self._interpreter = interpreter_for(fetched.lock, fetched.python, environ)
        if self._interpreter.path:
            environ = spawn.with_python(environ, self._interpreter.path)
        self._control, theirs = socket.socketpair()
        # The child gets its end under this number. Making `theirs` inheritable would hand it to every
        # process that another thread starts in this moment.
        handed = theirs.fileno() + 1
        writing = os.O_WRONLY | os.O_CREAT
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), handed),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            # What modules print while they are loaded belongs into the log of every attempt: see
            # `worker/zygote.py`.
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
        """Return a fork that waits for an attempt.

        Some are made before they are needed, and several at a time: an attempt then does not wait for
        the fork, and the zygote copies the memory that it writes to once for all of them. How many
        follows from how many attempts run now, so that a task that runs once in a while keeps few processes.

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
            # For each fork: the socket over which it waits, and the pipe in which its end is written.
            waiting_fd, end_fd = fds[2 * number : 2 * number + 2]
            self._spares.append(
                ForkedChild(
                    pid=pid,
                    started_s=message["started_s"],
                    waiting_fd=waiting_fd,
                    end_fd=end_fd,
                    signal=partial(self._signal, pid),
                )
            )
        self._asked -= len(message["pids"])

    def _signal(self, pid: int, number: int) -> None:
        # By way of the zygote: it is the parent, so it knows whether the number is still that of its fork.
        with suppress(OSError):
            self._send({"kind": "signal", "pid": pid, "number": int(number)})

    def _send(self, message: "dict[str, Any]", fds: "tuple[int, ...]" = ()) -> None:
        if self._control is None:
            raise BrokenPipeError("closed")
        # Several threads send signals and ask for forks. Their frames must not mix.
        with self._lock:
            send(self._control, message, fds)
