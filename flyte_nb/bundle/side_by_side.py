"""Run a function on many items at once, for uploads and downloads, and yield the results in order.

`concurrent.futures` is not used, because it takes 17 ms to import, and because it waits at the
interpreter's end for uploads that a person has interrupted. This module is part of the lean runtime:
standard library only.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

_THREADS = 16

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def side_by_side(
    act: "Callable[[_In], _Out]", items: "Sequence[_In]", *, threads: int = _THREADS
) -> "Iterator[_Out]":
    """Yield `act(item)` for each item, in the items' order, computed in several threads.

    At most `threads` results are computed ahead of the one that is yielded next, so that memory stays
    small. When the iterator is closed (by an error, an interrupt or the garbage collector), no further
    call begins. Calls that are running are not waited for; their threads are daemons.

    Args:
        act: the function.
        items: its arguments.
        threads: how many calls run at once.

    Raises:
        BaseException: anything that `act` raises, at the place of its item.
    """
    work = _Work(act, items, ahead=threads)
    for number in range(min(threads, len(items))):
        threading.Thread(target=work.run, name=f"flyte-nb-{number}", daemon=True).start()
    try:
        for number in range(len(items)):
            yield work.take(number)
    finally:
        work.stop()


class _Work(Generic[_In, _Out]):
    """The items, the finished results, and how far the threads may go."""

    def __init__(self, act: "Callable[[_In], _Out]", items: "Sequence[_In]", *, ahead: int) -> None:
        self._act = act
        self._items = items
        self._limit = ahead
        self._ahead = ahead
        self._next = 0
        self._done: dict[int, tuple[Any, BaseException | None]] = {}
        self._changed = threading.Condition()

    def take(self, number: int) -> _Out:
        """Wait for the result of that item and return it."""
        with self._changed:
            while number not in self._done:
                self._changed.wait()
            value, error = self._done.pop(number)
            # Only now may another item begin: results that nobody has taken yet stay in memory.
            self._limit = number + 1 + self._ahead
            self._changed.notify_all()
        if error is not None:
            raise error
        result: _Out = value
        return result

    def stop(self) -> None:
        """Begin no further call."""
        with self._changed:
            # Threads that wait for room wake up, find nothing left, and end.
            self._next = len(self._items)
            self._changed.notify_all()

    def run(self) -> None:
        """Work on one item after the other until none is left. Each thread runs this."""
        while (number := self._claim()) is not None:
            # An error is kept with its item, so that it comes at its place in the order.
            value, error = None, None
            try:
                value = self._act(self._items[number])
            except BaseException as raised:  # noqa: BLE001 - `take` raises it in the caller's thread
                error = raised
            with self._changed:
                self._done[number] = (value, error)
                self._changed.notify_all()

    def _claim(self) -> "int | None":
        with self._changed:
            while self._limit <= self._next < len(self._items):
                self._changed.wait()
            if self._next >= len(self._items):
                return None
            self._next += 1
            return self._next - 1
