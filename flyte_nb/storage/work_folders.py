"""Make working folders for single processes, and remove the folders of processes that were killed.

The folders are in `TMPDIR`. A process locks its folder and holds the lock until it ends; the system releases
the lock also when the process is killed. So a folder that another process can lock is not used any more.

`tempfile` and `shutil` are not used, because they take 13 ms to import, and every attempt needs a folder.
"""

import os
import time

_PREFIX = "flyte-nb-work-"
_UNLOCKED_S = 60.0
"""A folder that was made within this time may not have been locked yet, and is left alone."""


class WorkFolder:
    """A new folder that only this user can read. It is made with the object.

    Raises:
        OSError: when it cannot be made.
    """

    def __init__(self) -> None:
        name = f"{_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
        self.path = os.path.join(_root(), name)
        self._held = -1
        os.mkdir(self.path, 0o700)

    def hold(self) -> None:
        """Lock the folder, so that `sweep` in another process does not remove it.

        Call this within `_UNLOCKED_S` after the folder was made. It is separate, because an attempt can
        first start its worker.
        """
        import fcntl  # here, because an attempt loads it while its worker starts

        try:
            self._held = os.open(self.path, _FOLDER)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks, where no other process can lock it either
            return

    def remove(self) -> None:
        """Remove the folder and what is in it, as far as possible, and release the lock."""
        remove(self.path)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def remove(path: str) -> None:
    """Remove a folder and everything in it, as far as possible."""
    try:
        _remove(path)
    except OSError:
        return


def _remove(path: str) -> None:
    try:
        with os.scandir(path) as entries:
            found = list(entries)
    except OSError:
        found = []
    for entry in found:  # an entry that cannot be removed does not keep the others
        # A link to a folder is removed, and what it leads to stays.
        drop = _remove if entry.is_dir(follow_symlinks=False) else os.unlink
        try:
            try:
                drop(entry.path)
            except PermissionError:  # the folder is read-only, like one with unpacked modules
                os.chmod(path, 0o700)
                drop(entry.path)
        except OSError:
            continue
    os.rmdir(path)


def sweep() -> None:
    """Remove this user's folders whose process was killed."""
    root, own_uid, made_before_s = _root(), os.getuid(), time.time() - _UNLOCKED_S
    try:
        with os.scandir(root) as entries:
            found = [entry for entry in entries if entry.name.startswith(_PREFIX)]
    except OSError:
        return
    for entry in found:
        try:
            about = entry.stat(follow_symlinks=False)
            if about.st_uid == own_uid and about.st_mtime < made_before_s:
                _sweep(entry.path)
        except OSError:
            continue


def _sweep(path: str) -> None:
    """Remove the folder unless a process holds its lock. Raises `OSError` when one does."""
    import fcntl  # here, as in `hold`

    # O_NOFOLLOW: in a folder that all users share, another user could put a link there.
    held = os.open(path, _FOLDER)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    finally:
        os.close(held)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _root() -> str:
    return os.environ.get("TMPDIR") or "/tmp"
