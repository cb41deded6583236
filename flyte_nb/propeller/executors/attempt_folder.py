"""The folder of one attempt on this machine: its lock, its process, its log, its working folder.

Liveness. `lock` is held (flock) by the attempt's process and by whatever that started without closing
file descriptors; the kernel lets go of it when the last of them has died, however it died. It is
taken before the process is made and handed down to it, so there is no moment at which the process
lives and the lock is free. `process.json` says which process group to end (the warm host writes it too).
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
"""Variable in the environment of every process of an attempt; its value is the attempt's folder."""

_TAIL_BYTES = 2000
_SAME_START_S = 2.0
"""A warm attempt's process is forked by somebody who reads the clock a moment before."""
_END_WAIT_S = 5.0
_ASK_S = 0.02


class ProcessId(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started_s: float
    """As `processes.started_s` has it."""


class AttemptFolder:
    """Paths and facts of one attempt. Creating the value touches nothing."""

    def __init__(self, home: Path, key: AttemptKey, *, former: bool = False) -> None:
        """Take the place of one attempt.

        Args:
            home: The folder of all attempts.
            key: The attempt.
            former: Whether a release started it that joined the execution's parts by `-`, so that
                two executions could share a folder.
        """
        id = key.execution
        # With a dot, which neither part can have: the warm host starts in `home`, and a folder that
        # is named as a package would be taken for it where the package is not installed.
        parts = (f"{id.project}.{id.domain}", id.name)
        if former:
            parts = (f"{id.project}-{id.domain}-{id.name}", "")
        self.path = home.joinpath(*parts, f"{key.node_id}-{key.attempt}")
        self.lock = self.path / "lock"
        self.log = self.path / "log.txt"
        self.work = self.path / "work"
        self.note = self.path / "process.json"
        self.secrets = self.path / "secrets"

    @property
    def tag(self) -> str:
        """What `TAG` is in the environment of its processes."""
        return str(self.path)

    def create(self) -> None:
        """Make the folders."""
        self.work.mkdir(parents=True, exist_ok=True)

    def take_lock(self) -> "int | None":
        """A file descriptor that holds the lock, or `None` when somebody else does."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_locked(self) -> bool:
        """Whether a process of the attempt lives."""
        if not self.lock.exists():
            return False
        descriptor = self.take_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def write_process(self, pid: int) -> None:
        """Remember the process that was started; without it, its environment still tells it apart."""
        with suppress(psutil.Error, OSError):
            identity = {"pid": pid, "started_s": started_s(pid)}
            fresh = self.note.with_suffix(".new")
            fresh.write_text(json.dumps(identity))
            fresh.replace(self.note)

    def process(self) -> "ProcessId | None":
        """The process that was started, as far as it was written down."""
        try:
            document = json.loads(self.note.read_text())
            return ProcessId(int(document["pid"]), float(document["started_s"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def log_tail(self) -> str:
        """The last lines of the log, at most 2000 bytes."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return text if size <= _TAIL_BYTES else "…" + text.partition("\n")[2]


def is_same(process: ProcessId) -> bool:
    """Whether that very process lives."""
    try:
        same = abs(started_s(process.pid) - process.started_s) < _SAME_START_S
        return same and lives(process.pid)
    except psutil.Error:
        return False


def tagged(tag: str) -> list[int]:
    """The processes of this user whose environment says that they belong to the attempt."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(TAG) == tag and lives(process.pid):
                found.append(process.pid)
    return found


def signal_all(folder: AttemptFolder, number: int) -> set[int]:
    """Send a signal to every process of the attempt; to which.

    Its process group first, when the leader is the one that was started; then whoever left the group.
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
    """Kill every process of the attempt, and wait until they have ended.

    A signal takes effect when its process gets a processor: until then that one may go on writing.
    """
    give_up = time.monotonic() + _END_WAIT_S
    left: set[int] = set()
    while True:
        left = {pid for pid in left | signal_all(folder, SIGKILL) if lives(pid)}
        if not left or time.monotonic() > give_up:
            return
        time.sleep(_ASK_S)


def lives(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody waited for has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
