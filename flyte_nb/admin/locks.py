"""Locks between processes: held by an open file, given back by the kernel when the holder dies."""

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from flyte_nb.api.errors import BackendError

_RETRY_S = 0.02
_NO_LOCKS = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EIO}
)
"""What flock answers where a file system has no locks, or its lock server cannot be reached."""


class FileLock:
    """An exclusive lock on a file. The descriptor is not inherited by child processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; whether it is ours now."""
        descriptor = self._open()
        if not self._locked(descriptor, fcntl.LOCK_EX):
            return False
        if not self._is_at_path(descriptor):  # removed since it was opened: others lock a new one
            _let_go(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_lost(self) -> bool:
        """Return whether the file at the lock's path is no longer the one that is held.

        Somebody removed or moved the folder then, and the next process locks another file.
        """
        return self._descriptor is not None and not self._is_at_path(self._descriptor)

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
        if not self._locked(descriptor, fcntl.LOCK_SH):
            return True
        _let_go(descriptor)
        return False

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a file system that does not answer now: nothing is known
            return True

    def _locked(self, descriptor: int, kind: int) -> bool:
        """Whether the lock was free; the descriptor is closed when it was not."""
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise _cannot_lock(error, self._path) from error
        return True

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


def _let_go(descriptor: int) -> None:
    # Not only closed: a process that was forked meanwhile has the descriptor too, for all its life.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _cannot_lock(error: OSError, path: Path) -> BackendError:
    if error.errno not in _NO_LOCKS:
        return explained(error, f"The lock {path} cannot be taken")
    return BackendError(
        f"The local backend's folder {path.parent} is on a file system where files cannot be locked:"
        f" {error.strerror}.",
        hint="Set FLYTE_NB_HOME to a folder on a disk of this machine, for example"
        f" FLYTE_NB_HOME=/var/tmp/flyte_nb-{os.getuid()}.",
    )


def explained(error: OSError, what: str) -> BackendError:
    """The error with what to do about it."""
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        hint = "The disk is full: free some space, or set FLYTE_NB_HOME to a folder elsewhere."
    elif isinstance(error, PermissionError):
        hint = "You may not write there: set FLYTE_NB_HOME to a folder of your own."
    else:
        hint = "Set FLYTE_NB_HOME to a folder that can be written."
    return BackendError(f"{what}: {error.strerror or error}.", hint=hint)
