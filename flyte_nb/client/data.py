"""Move files for a kernel: upload what executions will read, and download results.

For the local backend, files are copied into its object folder. For another FlyteAdmin they go to the
folder that `FLYTE_NB_STAGING` names, or through URLs that FlyteAdmin signs. An object that the store does
not give to this process, for example because it has no credentials, is read through FlyteAdmin as well.

Uploads are content-addressed: a file's place has its digest, so the same file is sent once.
"""

import hashlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flyte_nb.api.errors import RemoteError, StorageError, UsageError
from flyte_nb.api.ports import BlobStore, Stat
from flyte_nb.bundle.retrying import Retrying, Sleep
from flyte_nb.client.through_admin import download, neither
from flyte_nb.storage.folder_lists import listing_of, listing_uri
from flyte_nb.storage.work_folders import WorkFolder, sweep
from flyte_nb.types.content import is_wanted

if TYPE_CHECKING:
    from flyte_nb.client.uploads import Uploads  # loads gRPC, which a local run does not need

SCRATCH = "scratch"
"""As `folder_uri`: uploads go to the kernel's own scratch folder, which is enough for local runs."""

_CHUNK = 1 << 20
_T = TypeVar("_T")


class KernelData:
    """`DataAccess` for a kernel. Thread-safe. `close()` removes what was downloaded.

    Transient faults of the store and of FlyteAdmin are retried in every method.
    """

    def __init__(
        self,
        store: BlobStore,
        *,
        folder_uri: str = "",
        uploads: "Uploads | None" = None,
        roots: "Callable[[], Sequence[Path]]" = tuple,
        sleep: Sleep = time.sleep,
    ) -> None:
        """Take the store and the ways to it. Nothing is read or made yet.

        Args:
            store: Reads any URI that outputs may have.
            folder_uri: The folder that uploads are written to. `SCRATCH` is a folder that is removed
                with the kernel. Empty sends uploads through `uploads`.
            uploads: Stores files when `folder_uri` is empty, and reads what `store` cannot read.
                `None` when there is no FlyteAdmin.
            roots: Returns the folders whose modules travel with pickled values that need them.
            sleep: Waits for that many seconds between two attempts.
        """
        self._store = store
        self._roots = roots
        self._folder = folder_uri.rstrip("/")
        self._uploads = uploads
        self._sleep = sleep
        self.seen: dict[str, str] = {}
        """Stamps of staged objects that this kernel found to be whole, by URI (`DirectoryStaging`)."""
        self._scratch: WorkFolder | None = None
        self._adopted: list[Path] = []
        self._removal: weakref.finalize[..., KernelData] | None = None
        self._lock = threading.Lock()
        self._count = 0

    @property
    def temporary_folder(self) -> str:
        """Return the folder that is removed with the kernel; empty while nothing is in it."""
        with self._lock:
            return self._scratch.path if self._scratch is not None else ""

    @property
    def hashes_content(self) -> bool:
        """Return whether frames and arrays get a hash of their content; see `types/content.py`."""
        return is_wanted()

    def read(self, uri: str) -> bytes:
        """Return the whole object at `uri`.

        Raises:
            StorageError: neither the store nor FlyteAdmin gives it.
        """
        try:
            return self._retried(lambda: self._store.read(uri))
        except StorageError as error:
            path = os.path.join(self.scratch(), "object")
            self._by_signed_url(uri, path, error)
            return Path(path).read_bytes()

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes of the object at `uri` from `offset` on.

        Raises:
            StorageError: neither the store nor FlyteAdmin gives the object.
        """
        try:
            return self._retried(lambda: self._store.read_part(uri, offset, length))
        except StorageError as error:
            path = os.path.join(self.scratch(), "object")
            self._by_signed_url(uri, path, error)
            with open(path, "rb") as file:
                file.seek(offset)
                return file.read(length)

    def stat(self, uri: str) -> "Stat | None":
        """Return the size of the object at `uri`, and its MD5 where known; `None` when there is none.

        Raises:
            StorageError: neither the store nor a URL that FlyteAdmin signs answers.
        """
        try:
            return self._retried(lambda: self._store.stat(uri))
        except StorageError as error:
            uploads = self._uploads
            if uploads is None or uri.startswith(("file://", "/")):
                raise
            try:
                return self._retried(lambda: uploads.stat(uri))
            except (RemoteError, StorageError) as refused:
                raise neither(error, refused, uri) from error

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` with this process's own credentials, replacing what is there.

        Raises:
            StorageError: this process has no credentials, or the store refused.
        """
        self._retried(lambda: self._store.write(uri, data))

    def download(self, uri: str) -> str:
        """Copy the object or folder at `uri` to a local path, and return the path.

        Raises:
            StorageError: neither the store nor FlyteAdmin gives it.
        """
        # The last part of the URI is kept, because user code reads meaning from names like `a.csv`.
        name = uri.rstrip("/").rpartition("/")[2]
        path = os.path.join(self.scratch(), name if name not in ("", ".", "..") else "data")
        try:
            self._retried(lambda: self._store.get(uri, path))
        except StorageError as error:
            self._by_signed_url(uri, path, error, may_be_folder=True)
        return path

    def uris_below(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted.

        Raises:
            StorageError: this process has no credentials, or the store refused.
        """
        return self._retried(lambda: self._store.list(uri))

    def upload(self, path: str, *, name: str = "", uri: str = "") -> str:
        """Store the file or folder at `path`; return its URI.

        Args:
            path: A local path.
            name: The last part of the URI; the path's own last part when empty.
            uri: Where to store it, with this process's own credentials; a place that follows from its
                content when empty.

        Raises:
            StorageError: there is no such file, the folder is empty, or the store refused.
            UsageError: there is no place to upload to without a connection.
        """
        source = Path(path)
        if not source.exists():
            raise StorageError(
                f"There is no file or folder {path}.", uri=path, hint="Check the path."
            )
        if uri:
            self._retried(lambda: self._store.put(str(source), uri))
            return uri
        last = name or source.name
        if source.is_dir():
            return self._upload_folder(source, last)
        digest = _sha256(source)
        folder = self._folder_uri()
        if folder:
            uri = f"{folder}/{digest[:2]}/{digest}/{last}"
            # Equal sizes at a place that has the digest: it is the same file, and stored whole.
            if self._retried(lambda: self._store.size(uri)) != source.stat().st_size:
                self._retried(lambda: self._store.put(str(source), uri))
            return uri
        return self._send(f"flyte_nb/data/{digest}", last, source)

    def scratch(self, suffix: str = "") -> str:
        """Return a new local path that ends in `suffix`; without a suffix, the path of a new folder."""
        with self._lock:
            if self._scratch is None:
                self._scratch = _new_folder()
                # The folder is removed when this object is collected, and at the latest when the
                # kernel ends.
                self._removal = weakref.finalize(self, _end, self._scratch, os.getpid())
            self._count += 1
            path = os.path.join(self._scratch.path, f"{self._count}{suffix}")
        if not suffix:
            os.mkdir(path)
        return path

    def own_modules(self, tops: "Iterable[str]") -> "dict[str, bytes]":
        """Return the files of the author's own modules among `tops`; see `api.ports.ModuleAccess`.

        Raises:
            BundleError: a file of one of the modules cannot be read.
        """
        # Modules that came with a value may have to travel on with another one.
        roots = [*self._roots(), *self._adopted]
        if not roots:
            return {}
        # Imported here, because it loads the code that packs tasks, and few values need modules.
        from flyte_nb.client.own_modules import files_in_kernel

        return files_in_kernel(tops, roots)

    def adopt_modules(self, folder: str) -> None:
        """Make the modules in the folder importable; modules found elsewhere come before them."""
        # Last on the path, so that a value from elsewhere replaces no module of this kernel.
        sys.path.append(folder)
        self._adopted.append(Path(folder))

    def close(self) -> None:
        """Remove everything that was downloaded or written to scratch."""
        with self._lock:
            removal, self._scratch, self._removal = self._removal, None, None
        if removal is not None:
            removal()

    def _folder_uri(self) -> str:
        """Return the folder that uploads are written to; empty when they go through FlyteAdmin."""
        if self._folder == SCRATCH:
            self._folder = self.scratch()
        return self._folder

    def _upload_folder(self, source: Path, last: str) -> str:
        """Store a folder below the digest of its files' names and contents; return its URI.

        A list of the files is stored beside it where it is not on this machine's disk. FlyteAdmin can
        sign a URL for an object, but it lists no folders; the list makes the folder readable that way.
        """
        files = sorted(item for item in source.rglob("*") if item.is_file())
        listing = hashlib.sha256()
        for item in files:
            listing.update(f"{item.relative_to(source).as_posix()}\0{_sha256(item)}\n".encode())
        digest = listing.hexdigest()
        folder = self._folder_uri()
        if folder:
            uri = f"{folder}/{digest[:2]}/{digest}/{last}"
            if not self._has_all(files, source, uri):
                self._retried(lambda: self._store.put(str(source), uri))
            names = listing_of(str(source))
            if names is not None and not uri.startswith(("file://", "/")):
                self.write(listing_uri(uri), names)
            return uri
        if not files:
            # Stores have objects and no folders, so an empty folder cannot be stored there.
            raise StorageError(
                f"The folder {source} is empty; there is nothing to upload.",
                hint="Put a file into it first.",
            )
        root = f"flyte_nb/data/{digest}/{last}"
        uri = ""
        for item in files:
            relative = item.relative_to(source).as_posix()
            uri = self._send(root, relative, item)[: -len(relative) - 1]
        names = listing_of(str(source))
        if names is not None:
            beside = Path(self.scratch(), "listing")
            beside.write_bytes(names)
            self._send(f"flyte_nb/data/{digest}", listing_uri(last), beside)
        return uri

    def _has_all(self, files: "list[Path]", source: Path, uri: str) -> bool:
        """Return whether every file is stored already. The place has their digest, so sizes suffice."""

        def has(item: Path) -> bool:
            there = f"{uri}/{item.relative_to(source).as_posix()}"
            return self._retried(lambda: self._store.size(there)) == item.stat().st_size

        return bool(files) and all(map(has, files))

    def _send(self, root: str, name: str, file: Path) -> str:
        """Store a file at `root/name` in FlyteAdmin's storage; return its URI."""
        uploads = self._uploads
        if uploads is None:
            raise UsageError(
                "There is no place to upload files to without a connection."
                " Call flyte_nb.connect() first."
            )
        uri: str = self._retried(lambda: uploads.put_once(root, name, file))[0]
        return uri

    def _by_signed_url(
        self, uri: str, path: str, error: StorageError, *, may_be_folder: bool = False
    ) -> None:
        """Download `uri` to `path` through FlyteAdmin; raise the store's `error` where that is no way.

        This process may have no credentials for the store, or not the right ones.
        """
        uploads = self._uploads
        # FlyteAdmin cannot read this machine's disk better than this process does.
        if uploads is None or uri.startswith(("file://", "/")):
            raise error
        download(
            uploads,
            uri,
            path,
            error,
            scratch=self.scratch,
            sleep=self._sleep,
            may_be_folder=may_be_folder,
        )

    def _retried(self, act: "Callable[[], _T]") -> _T:
        return Retrying(self._sleep)(act)


def _new_folder() -> WorkFolder:
    """Return a new scratch folder for this kernel; remove those of kernels that were killed."""
    sweep()
    folder = WorkFolder()
    folder.hold()
    return folder


def _end(folder: WorkFolder, owner: int) -> None:
    """Remove the folder, unless this is a process that its owner forked."""
    if os.getpid() == owner:
        folder.remove()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
