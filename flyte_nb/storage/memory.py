"""A store in this process's memory: `memory://…`. For tests, and for runs that leave nothing."""

import os
import threading
import time
from collections.abc import Callable

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat


class MemoryStore:
    """Objects in a dict; each instance has its own. `clock` tells when they are written."""

    def __init__(self, clock: "Callable[[], float]" = time.time) -> None:
        self._clock = clock
        self._objects: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def read(self, uri: str) -> bytes:
        """The whole object."""
        with self._lock:
            found = self._objects.get(uri)
        if found is None:
            raise _missing(uri)
        return found

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, replacing what is there."""
        with self._lock:
            self._objects[uri] = bytes(data)
            self._written[uri] = self._clock()

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        return self.read(uri)[offset : offset + length]

    def size(self, uri: str) -> "int | None":
        """The object's size in bytes, or `None` when there is none."""
        found = self.stat(uri)
        return None if found is None else found.size

    def stat(self, uri: str) -> "Stat | None":
        """What is known of the object without reading it, or `None` when there is none."""
        with self._lock:
            found = self._objects.get(uri)
            written = self._written.get(uri)
        return None if found is None else Stat(len(found), modified_s=written)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        below = self.list(uri)
        if self.size(uri) is not None:
            _write(path, self.read(uri))
        elif below:
            for item in below:
                _write(os.path.join(path, item[len(uri.rstrip("/")) + 1 :]), self.read(item))
        else:
            raise _missing(uri)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        if not os.path.isdir(path):
            self.write(uri, _read(path, uri))
            return
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                self.write(f"{uri.rstrip('/')}/{os.path.relpath(full, path)}", _read(full, uri))

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        prefix = uri.rstrip("/") + "/"
        with self._lock:
            return sorted(name for name in self._objects if name.startswith(prefix))

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        with self._lock:
            self._objects.pop(uri, None)

    def touch(self, uri: str) -> bool:
        """Make the object's time the present; whether there is such an object."""
        with self._lock:
            if uri in self._objects:
                self._written[uri] = self._clock()
            return uri in self._objects


def _missing(uri: str) -> StorageError:
    return StorageError(f"Cannot read {uri}: there is no such object.", uri=uri, missing=True)


def _read(path: str, uri: str) -> bytes:
    from flyte_nb.storage.file import explain

    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise explain(error, "read", path) from error


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
