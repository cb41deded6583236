"""A staging area that is a folder of any store: `<root>/<sha256[:2]>/<sha256>`."""

import hashlib
import os
import time

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore, Stat
from flyte_nb.storage.file import local_path

_TRUSTED_FROM_BYTES = 16 << 20
"""Over a network larger objects are not read again to see that they are whole: of a store that tells
no MD5 their size has to do, which an upload that was cut short does not have."""
_PART_BYTES = 4 << 20

_YOUNG_S = 3600.0
"""An older object that is used again is made young: who cleans up leaves what is young alone."""


class DirectoryStaging:
    """A `StagingArea` below `root_uri`.

    Objects are content-addressed and written atomically. One that is there is taken for whole when
    its size is right and one of these says so: it has not been touched since it was last seen to be
    whole, the store tells its MD5, or its bytes. Else it is written anew, so that registering again
    mends what was damaged. What is fetched is verified in any case.

    Args:
        root_uri: the folder.
        store: reads and writes it.
        seen: stamps of the objects that were seen to be whole, by URI; grows. One that lives longer
            than the area makes looking at an unchanged area cost one `stat` an object.
        named: URIs that are told in place of those below `root_uri`, for a folder that tasks will see
            elsewhere.
    """

    def __init__(
        self,
        root_uri: str,
        store: BlobStore,
        *,
        seen: "dict[str, str] | None" = None,
        named: str = "",
    ) -> None:
        self.root_uri = root_uri.rstrip("/")
        self.named = named.rstrip("/") or self.root_uri
        self._store = store
        self._seen = {} if seen is None else seen
        self.is_local = self.root_uri.startswith(("file://", "/"))
        """On this machine's disk: an object takes a system call or two, threads would cost more."""

    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes were written."""
        uri = f"{self.root_uri}/{name}"
        size = len(data)
        found = self._store.stat(uri)
        sent = 0
        if found is None or found.size != size or not self._is_whole(uri, found, data, sha256):
            self._store.write(uri, data)
            sent = size
            found = self._store.stat(uri) if self.is_local else None
        elif self.is_local and _is_old(found):
            _keep_young(uri)
            found = self._store.stat(uri)
        if found is not None and found.stamp:
            self._seen[uri] = found.stamp
        return f"{self.named}/{name}", sent

    def _is_whole(self, uri: str, found: Stat, data: "bytes | memoryview", sha256: str) -> bool:
        if found.stamp and self._seen.get(uri) == found.stamp:
            return True
        if found.md5:
            if hashlib.md5(data, usedforsecurity=False).hexdigest() == found.md5:
                return True  # a store that encrypts may tell the MD5 of what it made of the bytes
        elif found.size > _TRUSTED_FROM_BYTES and not self.is_local:
            return True
        return self._digest(uri, found.size) == sha256

    def _digest(self, uri: str, size: int) -> str:
        digest = hashlib.sha256()
        try:
            for offset in range(0, size, _PART_BYTES):
                digest.update(self._store.read_part(uri, offset, _PART_BYTES))
        except StorageError as error:
            if error.transient:
                raise
            return ""
        return digest.hexdigest()


def _is_old(found: Stat) -> bool:
    return found.modified_s is not None and time.time() - found.modified_s > _YOUNG_S


def _keep_young(uri: str) -> None:
    try:
        os.utime(local_path(uri))
    except OSError:
        return  # somebody else's file: it can be read, and that is what counts
