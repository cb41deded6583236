"""A store that fails or changes bytes on demand, in front of a store that works."""

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
    """A `BlobStore` that passes each call on to `inner`, and keeps the calls in `calls`. Thread-safe.

    Args:
        inner: The store that has the objects.
        fails: Called with each call first. The error that it returns is raised; `None` lets the call through.
        changes: Returns what `read` and `read_part` return in place of the bytes that were read.
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
        """Return the whole object, changed."""
        self._begin("read", uri)
        return self.changes(uri, self.inner.read(uri))

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return a part of the object, changed."""
        self._begin("read_part", uri)
        return self.changes(uri, self.inner.read_part(uri, offset, length))

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`."""
        self._begin("write", uri)
        self.inner.write(uri, data)

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes; `None` when there is no object."""
        self._begin("size", uri)
        return self.inner.size(uri)

    def stat(self, uri: str) -> "Stat | None":
        """Return what the store knows of the object; `None` when there is no object."""
        self._begin("stat", uri)
        return self.inner.stat(uri)

    def get(self, uri: str, path: str) -> None:
        """Copy the object to the file `path`, unchanged."""
        self._begin("get", uri)
        self.inner.get(uri, path)

    def put(self, path: str, uri: str) -> None:
        """Copy the file or folder at `path` to `uri`."""
        self._begin("put", uri)
        self.inner.put(path, uri)

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        self._begin("list", uri)
        return self.inner.list(uri)

    def delete(self, uri: str) -> None:
        """Remove the object."""
        self._begin("delete", uri)
        self.inner.delete(uri)

    def touch(self, uri: str) -> bool:
        """Set the object's time to now; return whether the store could."""
        self._begin("touch", uri)
        return self.inner.touch(uri)

    def _begin(self, method: str, uri: str) -> None:
        with self._lock:
            call = StoreCall(len(self.calls) + 1, method, uri)
            self.calls.append(call)
        error = self.fails(call)
        if error is not None:
            raise error
