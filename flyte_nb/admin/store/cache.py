"""Messages that never change, kept at hand: a read of SQLite gives the processor to other threads twice."""

import threading
from collections.abc import Hashable


class BytesCache:
    """The latest messages by key, at most `max_bytes` of them; the oldest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._messages: dict[Hashable, bytes] = {}
        self._bytes = 0

    def get(self, key: Hashable) -> "bytes | None":
        """The message, or `None`."""
        return self._messages.get(key)

    def put(self, key: Hashable, message: bytes) -> None:
        """Keep the message, unless it alone would take more than a quarter of the room."""
        if len(message) > self._max_bytes // 4:
            return
        with self._lock:
            if key in self._messages:
                return
            self._messages[key] = message
            self._bytes += len(message)
            while self._bytes > self._max_bytes:
                oldest = next(iter(self._messages))
                self._bytes -= len(self._messages.pop(oldest))
