"""A staging area that is a folder of any store: `<root>/<sha256[:2]>/<sha256>`."""

import hashlib

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore

_ALWAYS_VERIFIED_BYTES = 16 << 20
"""Up to here an object on a local disk is read to see that it is still itself (1 ms a MB)."""


class DirectoryStaging:
    """A `StagingArea` below `root_uri`.

    Objects are content-addressed and written atomically. On a local disk one that was damaged later
    is written anew, so that registering again mends it. What is fetched is verified in any case.
    """

    def __init__(self, root_uri: str, store: BlobStore) -> None:
        self.root_uri = root_uri.rstrip("/")
        self._store = store
        self.is_local = self.root_uri.startswith(("file://", "/"))
        """On this machine's disk: an object takes a system call or two, threads would cost more."""

    def stage(self, name: str, data: bytes, *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes were written."""
        uri = f"{self.root_uri}/{name}"
        size = memoryview(data).nbytes
        if self._store.size(uri) == size and self._is_whole(uri, size, sha256):
            return uri, 0
        self._store.write(uri, data)
        return uri, size

    def _is_whole(self, uri: str, size: int, sha256: str) -> bool:
        if size > _ALWAYS_VERIFIED_BYTES or not self.is_local:
            return True
        try:
            return hashlib.sha256(self._store.read(uri)).hexdigest() == sha256
        except StorageError:
            return False
