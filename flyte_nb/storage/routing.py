"""One store in front of many: each URI goes to the store of its scheme."""

from collections.abc import Mapping

from flyte_nb.api.ports import BlobStore, Stat
from flyte_nb.storage.file import FileStore


class Stores:
    """A `BlobStore` that routes by scheme. `file://…` and plain paths need no fsspec."""

    def __init__(self, extra: "Mapping[str, BlobStore]") -> None:
        self._stores: dict[str, BlobStore] = {"file": FileStore(), **extra}

    def read(self, uri: str) -> bytes:
        """The whole object."""
        return self._of(uri).read(uri)

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, replacing what is there."""
        self._of(uri).write(uri, data)

    def size(self, uri: str) -> "int | None":
        """The object's size in bytes, or `None` when there is none."""
        return self._of(uri).size(uri)

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        return self._of(uri).read_part(uri, offset, length)

    def stat(self, uri: str) -> "Stat | None":
        """What is known of the object without reading it, or `None` when there is none."""
        return self._of(uri).stat(uri)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        self._of(uri).get(uri, path)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        self._of(uri).put(path, uri)

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        return self._of(uri).list(uri)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        self._of(uri).delete(uri)

    def _of(self, uri: str) -> BlobStore:
        scheme, separator, _ = uri.partition("://")
        if not separator:
            scheme = "file"
        store = self._stores.get(scheme)
        if store is None:
            store = self._stores[scheme] = _open(scheme)
        return store


def _open(scheme: str) -> BlobStore:
    if scheme == "memory":
        from flyte_nb.storage.memory import MemoryStore

        return MemoryStore()
    # fsspec costs 50 ms to import: only who has objects elsewhere pays it.
    from flyte_nb.storage.remote import FsspecStore

    return FsspecStore(scheme)
