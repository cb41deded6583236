"""Which executions the engine has to step now, and when the next one has to be stepped.

An execution that waits costs nothing: it is not looked at until somebody wakes it, its time comes, or, when
it lacks a slot, a slot gets free. Those that lack one stand in a queue, so that a large execution cannot take
every slot that gets free.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count

from flyte_nb.propeller.driver import Driver

_SPARE = 64
"""So many outdated times may be in the heap before it is made anew."""


class Agenda:
    """What the engine's thread has to do. For that thread only."""

    def __init__(self) -> None:
        self._woken: dict[Driver, None] = {}
        self._queue: OrderedDict[Driver, None] = OrderedDict()
        """The executions that lack a slot. Whoever was offered one and lacks more goes to the end."""
        self._due: dict[Driver, int] = {}
        self._times: list[tuple[int, int, Driver]] = []
        """A heap of times and executions. One that differs from `_due` is outdated."""
        self._numbers = count()  # two equal times must not compare drivers
        self._attempts: dict[Driver, int] = {}
        self._total = 0
        self._left = 0
        """How many slots were free after the last turn. Nobody in the queue could use them."""

    def wake(self, driver: Driver) -> None:
        """Have the execution stepped in the next turn, or in this one if its steps have not begun."""
        self._woken[driver] = None

    def forget(self, driver: Driver) -> None:
        """Step the execution no more, and count its slots as free."""
        self._woken.pop(driver, None)
        self._queue.pop(driver, None)
        self._due.pop(driver, None)
        self._total -= self._attempts.pop(driver, 0)

    def count(self, driver: Driver) -> None:
        """Take note of how many slots the execution takes up now."""
        attempts = driver.attempts
        self._total += attempts - self._attempts.get(driver, 0)
        self._attempts[driver] = attempts

    def turn(self, slots: int, now_us: int, *, has_ended: bool) -> "Iterator[tuple[Driver, int]]":
        """Yield the executions to step now, each with the number of slots that it may take.

        Call `stepped` or `forget` for each before asking for the next one.

        Args:
            slots: How many attempts may run at a time.
            now_us: The time.
            has_ended: Whether an attempt has ended since the last turn. What it had beside its slot, a GPU
                for example, may be what somebody in the queue lacks.
        """
        while self._times and self._times[0][0] <= now_us:
            time_us, _, driver = heapq.heappop(self._times)
            if self._due.get(driver) == time_us:
                del self._due[driver]
                self._woken[driver] = None
        if has_ended or slots - self._total > self._left:
            for _ in range(len(self._queue)):
                if slots - self._total <= 0 or not self._queue:
                    break
                driver = next(iter(self._queue))
                self._woken.pop(driver, None)
                yield driver, slots - self._total
        # What wakes somebody from here on is done in the next turn: others wait for reports meanwhile.
        for driver in list(self._woken):
            if driver in self._woken:  # else it was removed meanwhile
                del self._woken[driver]
                yield driver, max(0, slots - self._total)
        self._left = max(0, slots - self._total)

    def stepped(self, driver: Driver, offered: int, now_us: int) -> None:
        """Take note of what an execution waits for after a step in which it was offered some slots."""
        self.count(driver)
        if not driver.lacks_slot:
            self._queue.pop(driver, None)
        else:
            self._queue.setdefault(driver, None)
            if offered:
                self._queue.move_to_end(driver)
        if driver.maps.wants_step:
            self._woken[driver] = None
        self._set_due(driver, _due_us(driver, now_us))

    def _set_due(self, driver: Driver, time_us: "int | None") -> None:
        if time_us is None:
            self._due.pop(driver, None)
        elif self._due.get(driver) != time_us:
            self._due[driver] = time_us
            heapq.heappush(self._times, (time_us, next(self._numbers), driver))
        if len(self._times) > 2 * len(self._due) + _SPARE:
            self._times = [(due, next(self._numbers), each) for each, due in self._due.items()]
            heapq.heapify(self._times)

    def next_us(self) -> "int | None":
        """Return when to take the next turn if nothing happens before; 0 means at once, `None` never."""
        if self._woken:
            return 0
        while self._times and self._due.get(self._times[0][2]) != self._times[0][0]:
            heapq.heappop(self._times)
        return self._times[0][0] if self._times else None


def _due_us(driver: Driver, now_us: int) -> "int | None":
    """Return when to step the execution although nothing wakes it; `None` when there is no such time."""
    limit, outbox = driver.deadline_us(), driver.outbox
    if not outbox.retry_at_us:
        return limit
    # Counted from the system's time: it may have been set back since the last record.
    retry = now_us + max(0, outbox.retry_at_us - outbox.now_us())
    return retry if limit is None else min(retry, limit)
