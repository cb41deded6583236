"""The folder of one attempt on this machine: its lock, its process, its log, its working folder.

How we know whether an attempt lives. The attempt's process holds `lock` (flock), and so does everything
that it started and that inherited the descriptor. The kernel frees the lock when the last of them has
died, however it died. The lock is taken before the process is made and is inherited by it, so there is
no moment at which the process lives and the lock is free. A process number alone would not do: numbers
are used again.

`process.json` says which process group to end. The warm host writes it too.
"""

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import psutil

from flyte_nb.propeller.executors.processes import started_s
from flyte_nb.propeller.ports import AttemptKey

TAG = "FLYTE_NB_ATTEMPT"
"""A variable in the environment of every process of an attempt. Its value is the attempt's folder.

It finds processes that left the attempt's group by `setsid`, such as daemons."""

_TAIL_BYTES = 2000
_SAME_START_S = 2.0
"""How far two start times of one process may differ: a zygote reads the clock a moment before it forks."""
_END_WAIT_S = 5.0
_ASK_S = 0.02


class ProcessId(NamedTuple):
    """A process, with its start, so that it is not mistaken for a later one with the same number."""

    pid: int
    started_s: float
    """The value of `processes.started_s`."""


class AttemptFolder:
    """The paths of one attempt, and what its files say. Making the value reads and writes nothing."""

    def __init__(self, home: Path, key: AttemptKey, *, former: bool = False) -> None:
        """Compute the paths of one attempt.

        Args:
            home: The folder of all attempts.
            key: The attempt.
            former: Whether an earlier release started it, which joined the execution's parts by `-`;
                there two executions could share a folder.
        """
        id = key.execution
        # The dot keeps two projects apart, because no part of an id has one. It also keeps a folder
        # from having the name of a package: the warm host starts in `home`, and Python would import the
        # folder.
        parts = (f"{id.project}.{id.domain}", id.name)
        if former:
            parts = (f"{id.project}-{id.domain}-{id.name}", "")
        self.path = home.joinpath(*parts, f"{key.node_id}-{key.attempt}")
        self.lock = self.path / "lock"
        self.log = self.path / "log.txt"
        self.work = self.path / "work"
        self.note = self.path / "process.json"
        self.gpu_note = self.path / "gpus.txt"
        self.secrets = self.path / "secrets"

    @property
    def tag(self) -> str:
        """Return the value of `TAG` in the environment of the attempt's processes."""
        return str(self.path)

    def create(self) -> None:
        """Make the attempt's folder and its working folder."""
        self.work.mkdir(parents=True, exist_ok=True)

    def take_lock(self) -> "int | None":
        """Take the lock; return the descriptor that holds it, or `None` when a process has it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_locked(self) -> bool:
        """Return whether a process of the attempt lives."""
        if not self.lock.exists():
            return False
        descriptor = self.take_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def write_process(self, pid: int) -> None:
        """Note which process was started. If that fails, `TAG` still finds the process."""
        with suppress(psutil.Error, OSError):
            identity = {"pid": pid, "started_s": started_s(pid)}
            # Replaced in one step: a crash leaves a whole note or none.
            fresh = self.note.with_suffix(".new")
            fresh.write_text(json.dumps(identity))
            fresh.replace(self.note)

    def write_gpus(self, gpus: "tuple[str, ...]") -> None:
        """Note which GPUs the attempt has, for a backend that takes it over. Most have none, and no file.

        Raises:
            OSError: when it cannot be written.
        """
        if gpus:
            self.gpu_note.write_text("\n".join(gpus))

    def gpus(self) -> "tuple[str, ...]":
        """Return the GPUs that the attempt has."""
        try:
            return tuple(self.gpu_note.read_text().split())
        except OSError:
            return ()

    def process(self) -> "ProcessId | None":
        """Return the process that was started, or `None` when no readable note exists."""
        try:
            document = json.loads(self.note.read_text())
            return ProcessId(int(document["pid"]), float(document["started_s"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def log_tail(self) -> str:
        """Return the last lines of the log, at most 2000 bytes."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return text if size <= _TAIL_BYTES else "…" + text.partition("\n")[2]


def is_same(process: ProcessId) -> bool:
    """Return whether exactly that process lives."""
    try:
        same = abs(started_s(process.pid) - process.started_s) < _SAME_START_S
        return same and lives(process.pid)
    except psutil.Error:
        return False


def tagged(tag: str) -> list[int]:
    """Return this user's processes that have this `TAG` in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(TAG) == tag and lives(process.pid):
                found.append(process.pid)
    return found


def signal_all(folder: AttemptFolder, number: int) -> set[int]:
    """Send a signal to every process of the attempt; return the processes.

    Its process group gets it first, if the group's leader is the process that was started. Then come
    the processes that left the group.
    """
    leader = folder.process()
    found = set()
    if leader is not None and is_same(leader):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, number)
            found.add(leader.pid)
    for pid in tagged(folder.tag):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            found.add(pid)
    return found


def end_all(folder: AttemptFolder) -> None:
    """Kill every process of the attempt, and wait until they have ended, at most 5 seconds.

    A signal only takes effect when its process is scheduled. Until then the process may still write files.
    """
    give_up = time.monotonic() + _END_WAIT_S
    left: set[int] = set()
    while True:
        left = {pid for pid in left | signal_all(folder, SIGKILL) if lives(pid)}
        if not left or time.monotonic() > give_up:
            return
        time.sleep(_ASK_S)


def lives(pid: int) -> bool:
    """Return whether such a process exists and has not ended. A zombie has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
