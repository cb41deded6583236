"""Locks between processes: held by an open file, given back by the kernel when the holder dies."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from flyte_nb.api.errors import BackendError

_RETRY_S = 0.02


class FileLock:
    """An exclusive lock on a file. The descriptor is not inherited by child processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; whether it is ours now."""
        descriptor = self._open()
        if not _locked(descriptor, fcntl.LOCK_EX):
            return False
        self._descriptor = descriptor
        return True

    def acquire(self, timeout_s: float) -> None:
        """Wait for the lock.

        Raises:
            BackendError: when somebody else keeps it longer than that.
        """
        end = time.monotonic() + timeout_s
        while not self.try_acquire():
            if time.monotonic() > end:
                raise BackendError(
                    f"Another process holds {self._path} for more than {timeout_s:.0f} s.",
                    hint="See which with `fuser` on that file, and end it if it hangs.",
                )
            time.sleep(_RETRY_S)

    def release(self) -> None:
        """Give the lock back. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _let_go(descriptor)

    def is_held_by_somebody(self) -> bool:
        """Whether any process has it."""
        if not self._path.exists():
            return False
        descriptor = self._open()
        # Shared: those who only look do not take each other for the holder.
        if not _locked(descriptor, fcntl.LOCK_SH):
            return True
        _let_go(descriptor)
        return False

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explained(error, f"The lock {self._path} cannot be opened") from error

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self.release()


def _locked(descriptor: int, kind: int) -> bool:
    """Whether the lock was free; the descriptor is closed when it was not."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True


def _let_go(descriptor: int) -> None:
    # Not only closed: a process that was forked meanwhile has the descriptor too, for all its life.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def explained(error: OSError, what: str) -> BackendError:
    """The error with what to do about it."""
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        hint = "The disk is full: free some space, or set FLYTE_NB_HOME to a folder elsewhere."
    elif isinstance(error, PermissionError):
        hint = "You may not write there: set FLYTE_NB_HOME to a folder of your own."
    else:
        hint = "Set FLYTE_NB_HOME to a folder that can be written."
    return BackendError(f"{what}: {error.strerror or error}.", hint=hint)
