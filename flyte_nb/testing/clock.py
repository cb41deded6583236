"""A clock that a test sets: sleeps and timeouts of minutes pass at once."""

import threading


class FakeClock:
    """Stands still, except when it is told to advance. Thread-safe."""

    def __init__(self, start_s: float = 1_800_000_000.0) -> None:
        """Start at a time.

        Args:
            start_s: seconds since 1970; the default is a day in 2027.
        """
        self._lock = threading.Lock()
        self._now_us = int(start_s * 1e6)

    def __call__(self) -> int:
        """Return the microseconds since 1970."""
        with self._lock:
            return self._now_us

    def advance(self, seconds: float) -> None:
        """Set the clock forward."""
        with self._lock:
            self._now_us += max(0, int(seconds * 1e6 + 0.5))
