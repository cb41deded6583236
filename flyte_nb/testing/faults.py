"""A store that misbehaves as it is told, in front of one that does not."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from flyte_nb.api.ports import BlobStore, Stat


class StoreCall(NamedTuple):
    """One call of a store."""

    number: int
    """Counted from 1, over all methods."""
    method: str
    uri: str


class FaultyStore:
    """A `BlobStore` that hands each call on to `inner`. Thread-safe.

    Args:
        inner: where objects really are.
        fails: looks at each call first; what it returns is raised.
        changes: what `read` and `read_part` give in place of the bytes that were read.
    """

    def __init__(
        self,
        inner: BlobStore,
        *,
        fails: "Callable[[StoreCall], Exception | None]" = lambda call: None,
        changes: "Callable[[str, bytes], bytes]" = lambda uri, data: data,
    ) -> None:
        self.inner = inner
        self.fails = fails
        self.changes = changes
        self.calls: list[StoreCall] = []
        self._lock = threading.Lock()

    def read(self, uri: str) -> bytes:
        """The whole object, changed."""
        self._begin("read", uri)
        return self.changes(uri, self.inner.read(uri))

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """A part of the object, changed."""
        self._begin("read_part", uri)
        return self.changes(uri, self.inner.read_part(uri, offset, length))

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`."""
        self._begin("write", uri)
        self.inner.write(uri, data)

    def size(self, uri: str) -> "int | None":
        """The object's size."""
        self._begin("size", uri)
        return self.inner.size(uri)

    def stat(self, uri: str) -> "Stat | None":
        """What is known of the object."""
        self._begin("stat", uri)
        return self.inner.stat(uri)

    def get(self, uri: str, path: str) -> None:
        """Copy it here, unchanged."""
        self._begin("get", uri)
        self.inner.get(uri, path)

    def put(self, path: str, uri: str) -> None:
        """Copy it there."""
        self._begin("put", uri)
        self.inner.put(path, uri)

    def list(self, uri: str) -> "list[str]":
        """What lies below."""
        self._begin("list", uri)
        return self.inner.list(uri)

    def delete(self, uri: str) -> None:
        """Remove it."""
        self._begin("delete", uri)
        self.inner.delete(uri)

    def touch(self, uri: str) -> bool:
        """Make it young."""
        self._begin("touch", uri)
        return self.inner.touch(uri)

    def _begin(self, method: str, uri: str) -> None:
        with self._lock:
            call = StoreCall(len(self.calls) + 1, method, uri)
            self.calls.append(call)
        error = self.fails(call)
        if error is not None:
            raise error
