"""Keep attempts within what tasks may use, by what this machine offers (`cgroups`, `memory_limits`)."""

import logging
from collections.abc import Callable
from signal import SIGKILL

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.propeller.executors.attempt_folder import signal_all
from flyte_nb.propeller.executors.capacity import Share
from flyte_nb.propeller.executors.cgroups import Groups
from flyte_nb.propeller.executors.memory_limits import Guarded, MemoryGuard
from flyte_nb.propeller.executors.needs import bytes_text
from flyte_nb.propeller.executors.reaper import Watched
from flyte_nb.runtime.limits import ProcessLimits
from flyte_nb.runtime.memory import over_limit

_log = logging.getLogger(__name__)


class Limiter:
    """The limits of one executor's attempts. Thread-safe."""

    def __init__(
        self,
        groups: "Callable[[], Groups | str] | None" = None,
        guard: "MemoryGuard | None" = None,
    ) -> None:
        """Prepare nothing yet.

        Args:
            groups: Prepares control groups, or returns why there are none; asked when the first attempt with
                a limit starts. `None` means `Groups.prepared`.
            guard: Looks at memory where there are no groups; `None` means a new one.
        """
        self._prepare = groups or Groups.prepared
        self._groups: Groups | None = None
        self._prepared = False
        self._guard = guard or MemoryGuard()

    def limits_of(self, share: Share, tag: str) -> ProcessLimits:
        """Return the limits for a process that is about to be started.

        Raises:
            OSError: when its control group cannot be made.
        """
        needs = share.needs
        if not needs.cpu_limit and not needs.memory_limit:
            return ProcessLimits()
        if not self._prepared:
            # Once, because preparing moves this process into another group.
            self._prepared = True
            found = self._prepare()
            if isinstance(found, Groups):
                self._groups = found
            else:
                _log.warning(
                    "Limits of tasks are kept without control groups: memory is looked at ten times a second,"
                    " and a limit of CPUs is so many processors to run on. The reason: %s.",
                    found,
                )
        if self._groups is not None:
            return ProcessLimits(group=self._groups.make(tag, needs))
        return ProcessLimits(processors=share.processors)

    def watch(self, watched: Watched) -> None:
        """Look at what the attempt uses from now on, where the kernel does not."""
        limit = watched.memory_limit
        if not limit or self._groups is not None:
            return
        folder = watched.folder

        def pid() -> "int | None":
            known = folder.process()
            return known.pid if known is not None else None

        def over(used: int) -> None:
            watched.over_memory = over_limit(
                watched.attempt.task.id.name, bytes_text(used), bytes_text(limit)
            )
            # Without SIGTERM, as the kernel ends a container that uses too much memory.
            signal_all(folder, SIGKILL)

        self._guard.guard(folder.tag, Guarded(pid, limit, over))

    def ended(self, watched: Watched) -> "tuple[int, ErrorInfo | None]":
        """Return the most memory that was seen of an attempt, and the error if its limit ended it."""
        tag, limit = watched.folder.tag, watched.memory_limit
        if not limit:
            return 0, None
        if self._groups is None:
            return self._guard.release(tag), watched.over_memory
        peak, killed = self._groups.peak(tag), self._groups.was_killed(tag)
        # After the reading, because the counts go with the group.
        self._groups.remove(tag)
        if not killed:
            return peak, None
        text = bytes_text(limit)
        return peak, over_limit(
            watched.attempt.task.id.name, bytes_text(peak) if peak else text, text
        )

    def close(self) -> None:
        """Stop looking. Attempts go on."""
        self._guard.close()
