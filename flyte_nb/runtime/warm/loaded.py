"""The files that a zygote has loaded, and whether one of them was changed since.

A package is upgraded, an editable one is edited, an environment is made anew: then a fork of the old
process would run other code than a fresh process imports, and the zygote must not be used again.
"""

import os
import time
from collections.abc import Callable, Iterable

_LOOK_S = 0.1
"""Files are looked at once in so many seconds, because a thousand files take a millisecond or two."""

_Signature = tuple[int, int, int]
"""Time of the last change, size and inode. Reading the content would take too long."""


class LoadedFiles:
    """The state of files when they were loaded. Safe from several threads."""

    def __init__(self, paths: Iterable[str], clock: "Callable[[], float]" = time.monotonic) -> None:
        self._clock = clock
        self._known = {path: found for path in paths if (found := _signature(path)) is not None}
        self._changed = False
        # The files were read a moment ago, so the first look can wait.
        self._looked = clock()

    @property
    def paths(self) -> "frozenset[str]":
        """Return the paths of the files that exist."""
        return frozenset(self._known)

    def have_changed(self) -> bool:
        """Return whether a file was changed, replaced or removed since it was loaded."""
        now = self._clock()
        if not self._changed and now - self._looked >= _LOOK_S:
            self._looked = now
            self._changed = any(_signature(path) != known for path, known in self._known.items())
        return self._changed


def _signature(path: str) -> "_Signature | None":
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
