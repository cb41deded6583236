"""The zygotes that a warm host keeps: started when they are first needed, ended when they are used least."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from flyte_nb.api.ports import BlobStore
from flyte_nb.runtime.warm.zygote_process import LOAD_S, Key, Unfit, ZygoteProcess

KEPT = 8
"""At most so many zygotes are kept, beside those that have attempts."""
IDLE_S = 300.0
"""Seconds after which a zygote that was not needed is ended."""
MAX_BYTES = 2 << 30
"""At most so much memory may the kept zygotes have resident together."""


class _Place:
    """The zygote of a key, or the reason why it has none."""

    def __init__(self) -> None:
        # Held while the zygote starts: attempts at one task that come together wait for one start.
        self.starting = threading.Lock()
        self.zygote: ZygoteProcess | None = None
        self.unfit = ""
        self.takers = 0
        """How many threads are about to use this place; guarded by the lock of its `Zygotes`."""


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
        """Start without zygotes.

        Args:
            store: Fetches their bundles.
            kept: See `KEPT`.
            idle_s: See `IDLE_S`.
            max_bytes: See `MAX_BYTES`.
            load_s: See `zygote_process.LOAD_S`.
            clock: Returns seconds that only grow.
        """
        self._store = store
        self._kept = kept
        self._idle_s = idle_s
        self._max_bytes = max_bytes
        self._load_s = load_s
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[Key, _Place] = (
            OrderedDict()
        )  # least used first; guarded by `_lock`

    def take(self, key: Key) -> ZygoteProcess:
        """Return the zygote of `key`, and start it if there is none. Give it back with `give_back`.

        Raises:
            Unfit: when this task cannot be run warm.
            OSError: as `ZygoteProcess`.
            BundleError: as `ZygoteProcess`.
            StorageError: as `ZygoteProcess`.
            TaskFailed: as `ZygoteProcess`.
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

    def give_back(self, zygote: ZygoteProcess, *, broken: bool = False) -> None:
        """Take back a zygote after an attempt. A broken one gets no further attempt, and ends soon."""
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
        """End the zygotes that were not needed for a long time."""
        oldest = self._clock() - self._idle_s
        self._end(lambda zygote: zygote.used_at < oldest)
        # One too many may have been at work when it was counted, and may be free by now.
        self._shrink()

    def close(self) -> None:
        """End all zygotes that have no attempt."""
        self._end(lambda zygote: True)

    def _taken(self, place: _Place, key: Key) -> ZygoteProcess:
        with place.starting:
            if place.unfit:
                # The bundle is the same, so the reason is. Trying again would load the task for nothing
                # each time.
                raise Unfit(place.unfit)
            if place.zygote is not None and place.zygote.is_outdated():
                self._drop(place.zygote)
            is_new = place.zygote is None
            if place.zygote is None:
                try:
                    started = ZygoteProcess(
                        key, self._store, load_s=self._load_s, clock=self._clock
                    )
                except Unfit as error:
                    place.unfit = str(error)
                    raise
                with self._lock:
                    place.zygote = started
            with self._lock:
                zygote = place.zygote
                zygote.in_flight += 1
        if is_new:
            # Only now can there be too many, or too much memory in use: a zygote does not grow by its forks.
            self._shrink()
        return zygote

    def _drop(self, zygote: ZygoteProcess) -> None:
        """Give the zygote no further attempt. It ends after those that it has."""
        with self._lock:
            zygote.in_flight += 1
        self.give_back(zygote, broken=True)

    def _shrink(self) -> None:
        """End the least used zygotes while there are too many or they are too large, but never the last."""
        with self._lock:
            found = [place.zygote for place in self._places.values() if place.zygote is not None]
            # Places that only say why a task is unfit are small, but there may be one for each version
            # of a task.
            while len(self._places) > 16 * self._kept:
                key, place = next(iter(self._places.items()))
                if place.zygote is not None or place.takers:
                    break
                del self._places[key]
        resident = 0
        for kept, zygote in enumerate(reversed(found), start=1):
            resident += zygote.resident_bytes
            if kept > 1 and (kept > self._kept or resident > self._max_bytes):
                self._end(lambda one, chosen=zygote: one is chosen)  # type: ignore[misc]

    def _end(self, chosen: "Callable[[ZygoteProcess], bool]") -> None:
        """End the chosen zygotes that have no attempt."""
        ended = []
        with self._lock:
            for place in self._places.values():
                zygote = place.zygote
                if zygote is not None and not zygote.in_flight and chosen(zygote):
                    place.zygote = None
                    ended.append(zygote)
        # Outside of the lock: it waits for processes, and other attempts need not.
        for zygote in ended:
            zygote.close()
