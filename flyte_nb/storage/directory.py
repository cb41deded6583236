"""Stage objects in a folder of any store, as `<root>/<sha256[:2]>/<sha256>`."""

import hashlib
import time
from collections.abc import Callable

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import GRACE_S, BlobStore, Stat

_TRUSTED_FROM_BYTES = 16 << 20
"""A larger object in a remote store that knows no MD5 is compared by its size alone. Reading it again would
take as long as uploading it, and an upload that was cut short has another size."""
_PART_BYTES = 4 << 20


class DirectoryStaging:
    """A `StagingArea` in the folder `root_uri` of a store.

    Objects are named by their content and written atomically. An existing object counts as whole when its
    size is right and one of these three agrees: its stamp, which has not changed since it was last found
    whole; the store's MD5; or the digest of its bytes. Any other object is written again, so registering
    again repairs a damaged area. This check saves uploads and is no protection: what a task fetches is
    verified in any case.

    A cleanup removes only objects that are older than `GRACE_S`. So an object that is used again and is
    older than half of that is renewed: touched, or written again in a store that cannot touch. `settle`
    closes the remaining gap, the moment between a cleanup's look at an object's age and its removal
    (`bundle/inventory.py`).

    Args:
        root_uri: the folder.
        store: the store that reads and writes the folder.
        seen: stamps of the objects that were found whole, by URI; it grows. When a caller keeps it for
            the next area, an unchanged object costs one `stat` and no read.
        named: the folder's URI as tasks will see it, when that is another one.
        clock: returns the present, in seconds since 1970.
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
        """The objects that were renewed since the last `settle`, by URI."""
        self.is_local = self.root_uri.startswith(("file://", "/"))
        """Whether the folder is on this machine's disk, where threads would cost more than they save."""

    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Make sure that the object is stored; return its URI and how many bytes were written.

        Raises:
            StorageError: when the object cannot be written, or the store fails for a moment.
        """
        uri = f"{self.root_uri}/{name}"
        size = len(data)
        found = self._store.stat(uri)
        sent = 0
        # Content-addressed names make it safe to write over an object: its bytes can only be these.
        if found is None or found.size != size or not self._is_whole(uri, found, data, sha256):
            self._store.write(uri, data)
            sent = size
            # A new stamp saves the next look at this object. Over a network it would cost a request now.
            found = self._store.stat(uri) if self.is_local else None
        elif self._is_old(found):
            sent, found = self._renew(uri, data)
        if found is not None and found.stamp:
            self._seen[uri] = found.stamp
        return f"{self.named}/{name}", sent

    def settle(self) -> None:
        """Write again what a cleanup removed since it was renewed. Call this when all indexes are stored.

        Raises:
            StorageError: when an object cannot be asked for or written.
        """
        for uri, data in self._renewed.items():
            if self._store.stat(uri) is None:
                self._store.write(uri, data)
        self._renewed.clear()

    def _is_old(self, found: Stat) -> bool:
        return found.modified_s is not None and self._clock() - found.modified_s >= GRACE_S / 2

    def _renew(self, uri: str, data: "bytes | memoryview") -> "tuple[int, Stat | None]":
        """Renew the object; return how many bytes were written, and its new `Stat`."""
        # Also when the touch succeeds: a cleanup may have seen the old time just before.
        self._renewed[uri] = data
        if self._store.touch(uri):
            found = self._store.stat(uri)
            if found is not None and not self._is_old(found):
                return 0, found
        # It could not be touched, or the store's clock says that it is still old.
        try:
            self._store.write(uri, data)
        except StorageError as error:
            if error.transient:
                raise
            return 0, None  # another user owns the object; it can be read, and that is enough
        return len(data), self._store.stat(uri)

    def _is_whole(self, uri: str, found: Stat, data: "bytes | memoryview", sha256: str) -> bool:
        if found.stamp and self._seen.get(uri) == found.stamp:
            return True
        if found.md5:
            if hashlib.md5(data, usedforsecurity=False).hexdigest() == found.md5:
                return True
            # Another MD5 proves nothing: a store that encrypts may have taken it of the encrypted bytes.
        elif found.size > _TRUSTED_FROM_BYTES and not self.is_local:
            return True
        return self._digest(uri, found.size) == sha256

    def _digest(self, uri: str, size: int) -> str:
        digest = hashlib.sha256()
        try:
            for offset in range(0, size, _PART_BYTES):
                # In parts, so that a large object need not fit into memory.
                digest.update(self._store.read_part(uri, offset, _PART_BYTES))
        except StorageError as error:
            if error.transient:
                raise
            # An object that cannot be read is not whole, and is written again.
            return ""
        return digest.hexdigest()
