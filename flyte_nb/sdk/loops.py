"""Run an author's coroutines, and hide the caller's event loop meanwhile.

A notebook's kernel runs an event loop while a cell runs, and a task's own process runs none. A task must
behave the same in both, so the caller's loop is hidden while the task's code runs in this thread. Another
thread would hide it too, but an interrupt and signal handlers reach only the main thread.
"""

import sys
from types import CoroutineType, FrameType
from typing import Any

_COROUTINE, _ASYNC_GENERATOR = 0x80, 0x200  # co_flags, as the Python reference has them
_HELPERS = frozenset({"<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>", "<lambda>"})
"""Code that is a function of its own to Python, and a part of the one around it to an author."""


class NoLoop:
    """A context in which no event loop runs in this thread, even if the caller's code runs in one."""

    __slots__ = ("_loop", "_task")

    def __enter__(self) -> None:
        self._loop = None
        asyncio = sys.modules.get("asyncio.events")  # a running loop has imported it
        if asyncio is None:
            return
        loop = asyncio._get_running_loop()
        if loop is None:
            return
        self._loop = loop
        self._task = _swap_task(loop, None)
        asyncio._set_running_loop(None)

    def __exit__(self, *_: object) -> None:
        loop = self._loop
        if loop is None:
            return
        asyncio = sys.modules["asyncio.events"]
        asyncio._set_running_loop(loop)
        # `asyncio.run` leaves the thread without a loop of its own, which the cells after would miss.
        asyncio.set_event_loop(loop)
        _swap_task(loop, self._task)


def run_to_end(value: Any) -> Any:
    """Return `value`; if it is a coroutine, run it to its end and return its result.

    Raises:
        BaseException: whatever the coroutine raises, with the coroutine's own frames.
    """
    if type(value) is not CoroutineType:
        return value
    import asyncio  # takes 40 ms, which plain functions must not wait for

    with NoLoop():
        found, error = asyncio.run(_settled(value))
    if error is not None:
        raise error
    return found


def can_await(caller: "FrameType | None") -> bool:
    """Return whether the code of the frame `caller` belongs to an async function or to such a cell."""
    # Before Python 3.12 a comprehension is a function of its own, which an author does not see.
    while caller is not None and caller.f_code.co_name in _HELPERS:
        caller = caller.f_back
    return caller is not None and bool(caller.f_code.co_flags & (_COROUTINE | _ASYNC_GENERATOR))


def is_running() -> bool:
    """Return whether an event loop runs in this thread."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


async def _settled(coroutine: Any) -> "tuple[Any, BaseException | None]":
    """Return the value and `None`, or `None` and the error."""
    # As a value, so that a traceback has no frames of the loop in it.
    try:
        return await coroutine, None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - raised again outside of the loop
        return None, error


def _swap_task(loop: Any, task: Any) -> Any:
    """Set the loop's current task, and return the one before."""
    # Before Python 3.12 there is no such call, and a loop within a loop needs none.
    swap = getattr(sys.modules.get("asyncio.tasks"), "_swap_current_task", None)
    return swap(loop, task) if swap is not None else None
