"""How a kernel moves files: up to where executions can read them, down to look at results.

On the local backend files are copied into its object folder; elsewhere they go through FlyteAdmin's
signed URLs. Uploads are content-addressed: the same file is sent once.
"""

import hashlib
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.api.errors import StorageError, UsageError
from flyte_nb.api.ports import BlobStore

if TYPE_CHECKING:
    from flyte_nb.client.uploads import Uploads  # loads gRPC, which a local run does not need

SCRATCH = "scratch"
"""Uploads stay in a folder of the kernel's own: enough for what runs in the kernel."""

_CHUNK = 1 << 20


class KernelData:
    """`DataAccess` for a kernel. Thread-safe; `close()` removes what was downloaded."""

    def __init__(
        self,
        store: BlobStore,
        *,
        folder_uri: str = "",
        uploads: "Uploads | None" = None,
    ) -> None:
        """What to reach.

        Args:
            store: Reads any URI that outputs may have.
            folder_uri: Where uploads are put directly; `SCRATCH` for a folder that goes with the
                kernel; empty when that folder is not on this machine.
            uploads: Used when `folder_uri` is empty; `None` when nothing can be uploaded.
        """
        self._store = store
        self._folder = folder_uri.rstrip("/")
        self._uploads = uploads
        self._scratch: str | None = None
        self._removal: weakref.finalize[..., KernelData] | None = None
        self._lock = threading.Lock()
        self._count = 0

    def read(self, uri: str) -> bytes:
        """The whole object at `uri`."""
        return self._store.read(uri)

    def download(self, uri: str) -> str:
        """A local path with the content of `uri` (a folder for a multipart blob)."""
        name = uri.rstrip("/").rpartition("/")[2] or "data"
        path = os.path.join(self.scratch(), name)
        self._store.get(uri, path)
        return path

    def upload(self, path: str, *, name: str = "") -> str:
        """Store the file or folder at `path`; return its URI."""
        source = Path(path)
        if not source.exists():
            raise StorageError(f"There is no file {path}.", uri=path)
        last = name or source.name
        if source.is_dir():
            return self._upload_folder(source, last)
        digest = _sha256(source)
        folder = self._folder_uri()
        if folder:
            uri = f"{folder}/{digest[:2]}/{digest}/{last}"
            if self._store.size(uri) != source.stat().st_size:
                self._store.put(str(source), uri)
            return uri
        return self._send(f"flyte_nb/data/{digest}", last, source.read_bytes())

    def scratch(self, suffix: str = "") -> str:
        """A fresh local path to write to; a fresh folder when there is no `suffix`."""
        with self._lock:
            if self._scratch is None:
                self._scratch = tempfile.mkdtemp(prefix="flyte-nb-")
                # Goes with the kernel at the latest.
                self._removal = weakref.finalize(self, shutil.rmtree, self._scratch, True)
            self._count += 1
            path = os.path.join(self._scratch, f"{self._count}{suffix}")
        if not suffix:
            os.mkdir(path)
        return path

    def close(self) -> None:
        """Remove everything that was downloaded or written to scratch."""
        with self._lock:
            removal, self._scratch, self._removal = self._removal, None, None
        if removal is not None:
            removal()

    def _folder_uri(self) -> str:
        if self._folder == SCRATCH:
            self._folder = Path(self.scratch()).as_uri()
        return self._folder

    def _upload_folder(self, source: Path, last: str) -> str:
        files = sorted(item for item in source.rglob("*") if item.is_file())
        listing = hashlib.sha256()
        for item in files:
            listing.update(f"{item.relative_to(source).as_posix()}\0{_sha256(item)}\n".encode())
        digest = listing.hexdigest()
        folder = self._folder_uri()
        if folder:
            uri = f"{folder}/{digest[:2]}/{digest}/{last}"
            self._store.put(str(source), uri)
            return uri
        if not files:
            raise StorageError(f"The folder {source} is empty; there is nothing to upload.")
        root = f"flyte_nb/data/{digest}/{last}"
        uri = ""
        for item in files:
            relative = item.relative_to(source).as_posix()
            uri = self._send(root, relative, item.read_bytes())[: -len(relative) - 1]
        return uri

    def _send(self, root: str, name: str, data: bytes) -> str:
        if self._uploads is None:
            raise UsageError(
                "There is no place to upload files to without a connection."
                " Call flyte_nb.connect() first."
            )
        return self._uploads.existing(root, name) or self._uploads.put(root, name, data)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
