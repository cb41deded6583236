"""Folders of one process's own, for what it works on; whoever comes later removes those of the dead.

They lie below `TMPDIR`. A process holds its folder's lock for as long as it lives, so a folder that can
be locked belongs to one that was killed. Not tempfile and shutil: they cost an attempt 13 ms to import.
"""

import os
import time

_PREFIX = "flyte-nb-work-"
_YOUNG_S = 60.0
"""A folder that was just made need not have been locked yet."""


class WorkFolder:
    """A new folder that only this user reads.

    Raises:
        OSError: when it cannot be made.
    """

    def __init__(self) -> None:
        name = f"{_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
        self.path = os.path.join(_root(), name)
        self._held = -1
        os.mkdir(self.path, 0o700)

    def hold(self) -> None:
        """Lock it, so that nobody takes it for one that was left; soon after it was made."""
        import fcntl

        try:
            self._held = os.open(self.path, _FOLDER)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks, where nobody else can lock it either
            return

    def remove(self) -> None:
        """Remove it, as far as possible."""
        remove(self.path)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def remove(path: str) -> None:
    """Remove a tree, as far as possible."""
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
    for entry in found:  # one that cannot be removed keeps none of the others
        drop = _remove if entry.is_dir(follow_symlinks=False) else os.unlink
        try:
            try:
                drop(entry.path)
            except PermissionError:  # the folder is read-only, as one with unpacked modules is
                os.chmod(path, 0o700)
                drop(entry.path)
        except OSError:
            continue
    os.rmdir(path)


def sweep() -> None:
    """Remove this user's folders whose process was killed."""
    root, own, oldest = _root(), os.getuid(), time.time() - _YOUNG_S
    try:
        with os.scandir(root) as entries:
            found = [entry for entry in entries if entry.name.startswith(_PREFIX)]
    except OSError:
        return
    for entry in found:
        try:
            about = entry.stat(follow_symlinks=False)
            if about.st_uid == own and about.st_mtime < oldest:
                _sweep(entry.path)
        except OSError:
            continue


def _sweep(path: str) -> None:
    import fcntl

    held = os.open(path, _FOLDER)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    finally:
        os.close(held)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _root() -> str:
    return os.environ.get("TMPDIR") or "/tmp"
