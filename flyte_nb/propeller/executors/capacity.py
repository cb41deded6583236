"""What this machine has for attempts, and which attempt has what of it. For one thread.

Requests for processors and memory are for sharing the machine: an attempt waits while those that run have
what it asks for. One that asks for more than the whole machine runs alone, because a workflow that was
written for a cluster shall run here as well. A GPU cannot be stretched: a request for more GPUs than there
are fails at once, since no wait would help.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import psutil

from flyte_nb.api.errors import USER, ErrorInfo, TaskFailed
from flyte_nb.propeller.executors.gpus import ListGpus
from flyte_nb.propeller.executors.needs import Needs, bytes_text
from flyte_nb.propeller.ports import AttemptKey, NoRoom

_log = logging.getLogger(__name__)


_PATIENCE_S = 30.0
"""After so long the attempt that waits for processors or memory goes before all others."""
_FORGOTTEN_S = 5.0
"""An attempt that was not asked for again for so long does not wait any more: its execution has ended."""


class _Waiting(NamedTuple):
    """The attempt that waits longest for processors or memory."""

    key: AttemptKey
    since_s: float
    asked_s: float


class Share(NamedTuple):
    """What one attempt has of the machine."""

    needs: Needs = Needs()
    gpus: "tuple[str, ...]" = ()
    processors: "tuple[int, ...]" = ()
    """The processors that it may run on; empty for all."""


class Capacity:
    """The machine's resources and their owners."""

    def __init__(
        self,
        *,
        cpus: int,
        gpus: ListGpus,
        memory_bytes: int = 0,
        processors: "tuple[int, ...] | None" = None,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        """Set what there is.

        Args:
            cpus: How many processors attempts may ask for together.
            gpus: Lists the GPUs; asked when it is first needed.
            memory_bytes: How much memory attempts may ask for together; 0 means the machine's.
            processors: The processors that attempts can be bound to; `None` means those of this process.
            clock: Seconds, from any beginning.
        """
        self._cpus = cpus
        self._memory = memory_bytes or psutil.virtual_memory().total
        self._list = gpus
        self._gpus: list[str] | None = None
        self._processors = _own_processors() if processors is None else processors
        self._shares: dict[AttemptKey, Share] = {}
        self._told: set[str] = set()
        self._clock = clock
        self._waiting: _Waiting | None = None

    @property
    def gpus(self) -> "list[str]":
        """Return the GPUs that the machine has."""
        if self._gpus is None:
            # Asked once, because `nvidia-smi` may take seconds.
            self._gpus = self._list()
        return self._gpus

    def take(self, key: AttemptKey, needs: Needs, task: str) -> Share:
        """Give the attempt what it needs.

        Args:
            key: The attempt.
            needs: What it needs.
            task: The task's name, for messages.

        Raises:
            NoRoom: when others have it now.
            TaskFailed: when the machine does not have so many GPUs.
        """
        # An attempt that asks again keeps what it has.
        if key in self._shares:
            return self._shares[key]
        if needs.gpus > len(self.gpus if needs.gpus else ()):
            raise TaskFailed(ErrorInfo("ResourcesUnavailable", self._too_many(needs, task), USER))
        # An attempt that would run alone is not refused: it gets what there is.
        if self._shares:
            self._check_gpus(needs)
            self._check_turn(key)
            try:
                self._check_room(needs)
            except NoRoom:
                self._waits(key)
                raise
        if self._waiting is not None and self._waiting.key == key:
            self._waiting = None
        self._tell_what_is_too_large(needs, task)
        free = self._free_gpus() if needs.gpus else []
        share = Share(needs, tuple(free[: needs.gpus]), self._bound(needs.cpu_limit))
        self._shares[key] = share
        return share

    def hold(self, key: AttemptKey, needs: Needs, gpus: "tuple[str, ...]") -> None:
        """Note what an attempt has that runs already."""
        self._shares[key] = Share(needs, gpus)

    def release(self, key: AttemptKey) -> None:
        """Take back what the attempt had."""
        self._shares.pop(key, None)

    def _check_turn(self, key: AttemptKey) -> None:
        """Refuse all but the attempt that has waited too long: smaller ones would take what gets free."""
        waiting, now = self._waiting, self._clock()
        if waiting is None or waiting.key == key or now - waiting.since_s < _PATIENCE_S:
            return
        # An eager task that has processors may wait for the very attempt that would be refused here.
        if any(
            share.needs.only_waits and share.needs.processors for share in self._shares.values()
        ):
            return
        if now - waiting.asked_s <= _FORGOTTEN_S:
            raise NoRoom(
                f"its turn; node {waiting.key.node_id} of {waiting.key.execution.name} needs much and comes"
                " first"
            )

    def _waits(self, key: AttemptKey) -> None:
        waiting, now = self._waiting, self._clock()
        if waiting is not None and waiting.key == key:
            self._waiting = waiting._replace(asked_s=now)
        elif waiting is None or now - waiting.asked_s > _FORGOTTEN_S:
            # Nobody waits, or the one who waited does not ask any more. One attempt has this place at a time.
            self._waiting = _Waiting(key, now, now)

    def _check_gpus(self, needs: Needs) -> None:
        if needs.gpus > len(self._free_gpus() if needs.gpus else ()):
            raise NoRoom(_of(needs.gpus, "GPU", len(self._free_gpus()), len(self.gpus)))

    def _check_room(self, needs: Needs) -> None:
        shares = self._shares.values()
        used, wanted = sum(share.needs.processors for share in shares), needs.processors
        # An attempt that asks for no processors fits on a full machine too.
        if used + wanted > self._cpus and wanted:
            raise NoRoom(_of(wanted, "CPU", max(0.0, self._cpus - used), self._cpus))
        taken = sum(share.needs.memory_bytes for share in shares)
        if needs.memory_bytes and taken + needs.memory_bytes > self._memory:
            free = bytes_text(max(0, self._memory - taken))
            raise NoRoom(
                f"{bytes_text(needs.memory_bytes)} of memory; {free} of {bytes_text(self._memory)} are free"
            )

    def _free_gpus(self) -> "list[str]":
        taken = {gpu for share in self._shares.values() for gpu in share.gpus}
        return [gpu for gpu in self.gpus if gpu not in taken]

    def _bound(self, limit: float) -> "tuple[int, ...]":
        """Return the processors for a limit: those that the fewest attempts are bound to."""
        # A process cannot be bound to half a processor, so a limit is rounded up.
        count = max(1, int(-(-limit // 1)))
        if not limit or count >= len(self._processors):
            return ()
        users = Counter(each for share in self._shares.values() for each in share.processors)
        return tuple(sorted(sorted(self._processors, key=lambda each: users[each])[:count]))

    def _too_many(self, needs: Needs, task: str) -> str:
        has = f"{len(self.gpus)} GPU{'s' * (len(self.gpus) != 1)}" if self.gpus else "no GPU"
        return (
            f"{task} asks for {needs.gpus} GPU{'s' * (needs.gpus != 1)}, and this machine has {has}"
            " (nvidia-smi -L). Ask for fewer with requests=Resources(gpu=…), at the call by"
            " .with_overrides(…), or run the workflow on a Flyte cluster."
        )

    def _tell_what_is_too_large(self, needs: Needs, task: str) -> None:
        """Log, once for each task, that it asks for more than the machine has."""
        much = []
        if needs.cpus > self._cpus:
            much.append(f"{needs.cpus:g} CPUs of {self._cpus}")
        if needs.memory_bytes > self._memory:
            much.append(f"{bytes_text(needs.memory_bytes)} of {bytes_text(self._memory)} memory")
        if much and task not in self._told:
            self._told.add(task)
            _log.warning(
                "%s asks for %s; it runs alone with what there is.", task, " and ".join(much)
            )


def _of(wanted: float, unit: str, free: float, most: float) -> str:
    many = "s" if wanted != 1 else ""
    return f"{wanted:g} {unit}{many}; {free:g} of {most:g} are free"


def _own_processors() -> "tuple[int, ...]":
    """Return the processors of this process; none where the system cannot bind a process to some."""
    ask = getattr(os, "sched_getaffinity", None)
    return tuple(sorted(ask(0))) if ask is not None else ()
