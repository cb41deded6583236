"""A staging area that is a folder of any store: `<root>/<sha256[:2]>/<sha256>`."""

import hashlib
import time
from collections.abc import Callable

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import GRACE_S, BlobStore, Stat

_TRUSTED_FROM_BYTES = 16 << 20
"""Over a network larger objects are not read again to see that they are whole: of a store that tells
no MD5 their size has to do, which an upload that was cut short does not have."""
_PART_BYTES = 4 << 20


class DirectoryStaging:
    """A `StagingArea` below `root_uri`.

    Objects are content-addressed and written atomically. One that is there is taken for whole when
    its size is right and one of these says so: it has not been touched since it was last seen to be
    whole, the store tells its MD5, or its bytes. Else it is written anew, so that registering again
    mends what was damaged. What is fetched is verified in any case.

    Who cleans up removes nothing that is younger than `GRACE_S`, and here what is used again and older than
    half of it is made young: touched, or written again in a store that cannot do that. `settle` closes what
    is left, the moment between another's look at an object's age and its removal.

    Args:
        root_uri: the folder.
        store: reads and writes it.
        seen: stamps of the objects that were seen to be whole, by URI; grows. One that lives longer
            than the area makes looking at an unchanged area cost one `stat` an object.
        named: URIs that are told in place of those below `root_uri`, for a folder that tasks will see
            elsewhere.
        clock: tells seconds since 1970.
    """

    def __init__(
        self,
        root_uri: str,
        store: BlobStore,
        *,
        seen: "dict[str, str] | None" = None,
        named: str = "",
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        self.root_uri = root_uri.rstrip("/")
        self.named = named.rstrip("/") or self.root_uri
        self._store = store
        self._seen = {} if seen is None else seen
        self._clock = clock
        self._renewed: dict[str, bytes | memoryview] = {}
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
        elif self._is_old(found):
            sent, found = self._renew(uri, data)
        if found is not None and found.stamp:
            self._seen[uri] = found.stamp
        return f"{self.named}/{name}", sent

    def settle(self) -> None:
        """Look again at what was old, now that its indexes are there: what is gone is written again."""
        for uri, data in self._renewed.items():
            if self._store.stat(uri) is None:
                self._store.write(uri, data)
        self._renewed.clear()

    def _is_old(self, found: Stat) -> bool:
        return found.modified_s is not None and self._clock() - found.modified_s >= GRACE_S / 2

    def _renew(self, uri: str, data: "bytes | memoryview") -> "tuple[int, Stat | None]":
        """Make the object young; bytes that this took, and what is known of it then."""
        self._renewed[uri] = data
        if self._store.touch(uri):
            found = self._store.stat(uri)
            if found is not None and not self._is_old(found):
                return 0, found
        try:
            self._store.write(uri, data)
        except StorageError as error:
            if error.transient:
                raise
            return 0, None  # somebody else's, and it can be read, which is what counts
        return len(data), self._store.stat(uri)

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
