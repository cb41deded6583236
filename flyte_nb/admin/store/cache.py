"""Keep messages that never change in memory.

A read of SQLite releases the interpreter twice, and under load each time costs a wait for it.
"""

import threading
from collections.abc import Hashable


class BytesCache:
    """The messages by key, at most `max_bytes` of them. The oldest are dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._messages: dict[Hashable, bytes] = {}
        self._bytes = 0

    def get(self, key: Hashable) -> "bytes | None":
        """Return the message, or `None`."""
        # Without the lock: one look-up in a dict is atomic, and readers need not wait for writers.
        return self._messages.get(key)

    def put(self, key: Hashable, message: bytes) -> None:
        """Keep the message, unless it alone would take more than a quarter of the space."""
        if len(message) > self._max_bytes // 4:
            return
        with self._lock:
            # The first stays: a message under a key never changes, and its bytes are counted once.
            if key in self._messages:
                return
            self._messages[key] = message
            self._bytes += len(message)
            while self._bytes > self._max_bytes:
                oldest = next(iter(self._messages))
                self._bytes -= len(self._messages.pop(oldest))
