"""Waiting in tests: for a condition, and in a task's body until the test lets the task go on.

A test that sleeps is slow on a fast machine and fails on a slow one. So tests wait for what they need to
see, and a task that has to be seen at work waits at a gate.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import pytest

_Found = TypeVar("_Found")

PATIENCE_S = 120.0
"""How long a test waits before it fails: longer than a busy machine ever needs."""

_BETWEEN_S = 0.005


def wait_until(
    condition: "Callable[[], _Found]", what: str, seconds: float = PATIENCE_S
) -> "_Found":
    """Call `condition` until it returns something true, and return that.

    The test fails when `seconds` have passed.

    Args:
        condition: The condition; it is called about 200 times a second.
        what: What the condition is about; the failure's message names it.
        seconds: How long to wait at most.
    """
    give_up = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        if time.monotonic() > give_up:
            pytest.fail(f"waited {seconds:g} s for: {what}")
        pause.wait(_BETWEEN_S)
    return found


class Gate:
    """A gate at which processes wait: `open(path).close()` in a task's body returns once it is open.

    The gate is a FIFO, and opening one to read waits until somebody opens it to write. So a task waits
    without asking again and again, and needs no library for it.

        with Gate(tmp_path / "gate") as gate:
            …                       # a task does `open(path).close()` and waits
            gate.open()             # every task that waits goes on, and no later one waits

    The end of the `with` opens it as well: no task is left behind at a closed gate.
    """

    def __init__(self, path: "Path | str") -> None:
        self.path = Path(path)
        self._held = -1
        os.mkfifo(self.path)

    def open(self) -> None:
        """Let go on whoever waits at the gate, and whoever comes to it later."""
        if self._held >= 0:
            return
        # Held until the end: a reader may have found the FIFO and be about to open it.
        self._held = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        beside = self.path.with_name(f"{self.path.name}.open")
        beside.touch()
        os.replace(beside, self.path)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        traceback: "TracebackType | None",
    ) -> None:
        self.open()
        os.close(self._held)

    def __str__(self) -> str:
        """The path, as a task is given it."""
        return str(self.path)
