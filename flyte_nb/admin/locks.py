"""Locks between processes: an open file holds one, and the kernel releases it when the holder dies."""

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
"""Errors of `flock` on a file system without locks, or whose lock server cannot be reached."""


class FileLock:
    """An exclusive lock on a file. Child processes do not inherit its descriptor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; return whether this object holds it now.

        Raises:
            BackendError: when the file cannot be opened, or its file system has no locks.
        """
        descriptor = self._open()
        if not self._locked(descriptor, fcntl.LOCK_EX):
            return False
        # The file may have been removed since it was opened. Others would lock a new one.
        if not self._is_at_path(descriptor):
            _let_go(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_lost(self) -> bool:
        """Return whether the file at the lock's path is no longer the one that is held.

        Then somebody removed or moved the folder, and the next process will lock another file.
        """
        return self._descriptor is not None and not self._is_at_path(self._descriptor)

    def acquire(self, timeout_s: float) -> None:
        """Wait for the lock, at most `timeout_s` seconds.

        Raises:
            BackendError: when another process keeps it longer, or it cannot be locked at all.
        """
        end = time.monotonic() + timeout_s
        while not self.try_acquire():
            if time.monotonic() > end:
                raise BackendError(
                    f"Another process holds {self._path} for more than {timeout_s:.0f} s.",
                    hint=f"Find it with `fuser {self._path}`, and end it if it hangs.",
                )
            time.sleep(_RETRY_S)

    def release(self) -> None:
        """Release the lock. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _let_go(descriptor)

    def is_held_by_somebody(self) -> bool:
        """Return whether any process holds the lock.

        Raises:
            BackendError: when the file cannot be opened, or its file system has no locks.
        """
        if not self._path.exists():
            return False
        descriptor = self._open()
        # A shared lock, so that two processes that only look do not take each other for the holder.
        if not self._locked(descriptor, fcntl.LOCK_SH):
            return True
        _let_go(descriptor)
        return False

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            # The file system does not answer now. That is no reason to give the folder up.
            return True

    def _locked(self, descriptor: int, kind: int) -> bool:
        """Return whether the lock was free and is taken now; close the descriptor when not."""
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
    # Unlocked, not only closed: a process that was forked meanwhile has a copy of the descriptor,
    # which would keep the lock for as long as that process lives.
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
    """Return the error as a `BackendError` that says what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "The disk is full: free some space, or set FLYTE_NB_HOME to a folder elsewhere."
    elif isinstance(error, PermissionError):
        hint = "You may not write there: set FLYTE_NB_HOME to a folder of your own."
    else:
        hint = "Set FLYTE_NB_HOME to a folder that can be written."
    return BackendError(f"{what}: {error.strerror or error}.", hint=hint)
