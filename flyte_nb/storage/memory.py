"""Keep objects in this process's memory (`memory://…`), for tests and for runs that leave nothing behind."""

import os
import threading
import time
from collections.abc import Callable

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat
from flyte_nb.storage.file import explain


class MemoryStore:
    """A `BlobStore` that keeps its objects in a dict. Each store has objects of its own.

    Args:
        clock: returns the present, in seconds since 1970, for the objects' times.
    """

    def __init__(self, clock: "Callable[[], float]" = time.time) -> None:
        self._clock = clock
        self._objects: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def read(self, uri: str) -> bytes:
        """Return the whole object.

        Raises:
            StorageError: when there is no such object.
        """
        with self._lock:
            found = self._objects.get(uri)
        if found is None:
            raise _missing(uri)
        return found

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` and replace an existing object."""
        with self._lock:
            self._objects[uri] = bytes(data)
            self._written[uri] = self._clock()

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on; fewer, or none, where the object ends.

        Raises:
            StorageError: when there is no such object.
        """
        return self.read(uri)[offset : offset + length]

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no such object."""
        found = self.stat(uri)
        return None if found is None else found.size

    def stat(self, uri: str) -> "Stat | None":
        """Return the object's size and time, or `None` when there is no such object."""
        with self._lock:
            found = self._objects.get(uri)
            written = self._written.get(uri)
        return None if found is None else Stat(len(found), modified_s=written)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`.

        Raises:
            StorageError: when there is nothing at `uri`.
        """
        below = self.list(uri)
        if self.size(uri) is not None:
            _write(path, self.read(uri))
        elif below:
            for item in below:
                _write(os.path.join(path, item[len(uri.rstrip("/")) + 1 :]), self.read(item))
        else:
            raise _missing(uri)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`.

        Raises:
            StorageError: when a file cannot be read.
        """
        if not os.path.isdir(path):
            self.write(uri, _read(path, uri))
            return
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                self.write(f"{uri.rstrip('/')}/{os.path.relpath(full, path)}", _read(full, uri))

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        prefix = uri.rstrip("/") + "/"
        with self._lock:
            return sorted(name for name in self._objects if name.startswith(prefix))

    def delete(self, uri: str) -> None:
        """Remove the object. Nothing happens when there is no such object."""
        with self._lock:
            self._objects.pop(uri, None)

    def touch(self, uri: str) -> bool:
        """Set the object's time to the present; return whether there is such an object."""
        with self._lock:
            if uri in self._objects:
                self._written[uri] = self._clock()
            return uri in self._objects


def _missing(uri: str) -> StorageError:
    return StorageError(
        f"Cannot read {uri}: there is no such object.",
        uri=uri,
        missing=True,
        hint="What memory:// holds ends with its process and cannot be read from another one.",
    )


def _read(path: str, uri: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise explain(error, "read", path) from error


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
