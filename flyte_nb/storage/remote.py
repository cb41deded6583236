"""Use object stores through fsspec: `s3://`, `gs://`, `abfs://` and every other installed file system.

Every call ends: one that stalls is given up after a time that follows from its size, and counts as a
transient fault. The cloud libraries have no common errors and no common names for what they know of an
object, so this module recognises them by the names that each library uses.
"""

import base64
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat
from flyte_nb.storage.file import explain
from flyte_nb.storage.remote_options import anonymous, file_system

_STALLED_S = 60.0
_SLOWEST = 256 << 10
"""A transfer that is slower than this many bytes a second counts as stalled."""
_MULTIPART_BYTES = 100 << 20
"""s3fs uploads larger objects in parts. S3 keeps the parts of an upload that failed, and bills them."""
_TRANSIENT_NAMES = (
    "Connection",
    "IncompleteRead",
    "InternalError",
    "NoSuchUpload",  # another process has removed the parts of the same upload
    "Payload",
    "Reset",
    "ServerError",
    "SlowDown",
    "Temporar",
    "Throttl",
    "Timeout",
    "Unavailable",
)
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "created")
_CREDENTIAL_NAMES = ("Credential", "Authentication", "Unauthorized", "Forbidden")
_READING = frozenset({"cat_file", "info", "get_file", "find"})
_MISSING_HINT = "Was it deleted, or written to another bucket?"
_CREDENTIAL_HINT = "Check the credentials that this process has for the bucket."


class FsspecStore:
    """A `BlobStore` for all URIs of one scheme. Object stores replace an object whole, so writes are atomic.

    Raises:
        StorageError: when no installed package serves the scheme, or it lacks credentials.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = file_system(scheme)
        self._public: Any = None

    def read(self, uri: str) -> bytes:
        """Return the whole object.

        Raises:
            StorageError: when there is no such object or it cannot be read.
        """
        return bytes(self._call("read", uri, "cat_file", uri, moved=self.size(uri) or 0))

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` and replace an existing object.

        Raises:
            StorageError: when the object cannot be written.
        """
        size = len(data)
        try:
            self._call("write", uri, "pipe_file", uri, bytes(data), moved=size)
        except StorageError:
            if size >= _MULTIPART_BYTES:
                self._abort_parts(uri)
            raise

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on; fewer, or none, where the object ends.

        Raises:
            StorageError: when there is no such object or it cannot be read.
        """
        try:
            end = offset + length
            part = self._call("read", uri, "cat_file", uri, start=offset, end=end, moved=length)
        except StorageError as error:
            # HTTP cannot say "the empty range": a range that begins at the end is an error there.
            if error.transient or error.missing or offset < (self.size(uri) or 0):
                raise
            return b""
        return bytes(part[:length])

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no such object.

        Raises:
            StorageError: when the store cannot be asked.
        """
        found = self.stat(uri)
        return None if found is None else found.size

    def stat(self, uri: str) -> "Stat | None":
        """Return size, time, ETag and MD5, as far as the store knows them, or `None` for no such object.

        Raises:
            StorageError: when the store cannot be asked.
        """
        try:
            info = self._call("look at", uri, "info", uri)
        except StorageError as error:
            if error.missing:
                return None
            raise
        # fsspec answers for folders too, and a folder is no object.
        if info.get("type") != "file":
            return None
        # S3 puts its ETags in quotes.
        tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
        return Stat(
            size=int(info["size"]), md5=_md5(info, tag), stamp=tag, modified_s=_modified_s(info)
        )

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`.

        Raises:
            StorageError: when there is nothing at `uri`, or it cannot be copied.
        """
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        size = self.size(uri)
        if size is not None:
            self._call("copy", uri, "get_file", uri, path, moved=size)
            return
        below = self.list(uri)
        if not below:
            raise StorageError(
                f"Cannot copy {uri}: there is no such object or folder.",
                uri=uri,
                missing=True,
                hint=_MISSING_HINT,
            )
        for item in below:
            target = os.path.join(path, item[len(uri.rstrip("/")) + 1 :])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._call("copy", item, "get_file", item, target, moved=self.size(item) or 0)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`.

        Raises:
            StorageError: when a file cannot be read or stored.
        """
        if not os.path.isdir(path):
            self._put_file(path, uri)
            return
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                full = os.path.join(folder, name)
                self._put_file(full, f"{uri.rstrip('/')}/{os.path.relpath(full, path)}")

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted.

        Raises:
            StorageError: when the store cannot be asked.
        """
        try:
            # Object stores compare beginnings of names. The slash keeps `a/b` from finding `a/bc`.
            found = self._call("list", uri, "find", uri.rstrip("/") + "/")
        except StorageError as error:
            if error.missing:
                # To an object store, a folder without objects does not exist.
                return []
            raise
        return sorted(f"{self._scheme}://{self._bare(name)}" for name in found)

    def delete(self, uri: str) -> None:
        """Remove the object. Nothing happens when there is no such object.

        Raises:
            StorageError: when the object cannot be removed.
        """
        try:
            self._call("delete", uri, "rm_file", uri)
        except StorageError as error:
            if not error.missing:
                raise

    def touch(self, uri: str) -> bool:
        """Set the object's time to the present without sending its bytes; return whether that could be done.

        Raises:
            StorageError: when the store fails for a moment.
        """
        now = str(time.time_ns())
        try:
            # S3 has no touch. It copies an object onto itself only when something of it changes, so the
            # present time becomes an attribute.
            if hasattr(self._fs, "setxattr"):
                self._call("touch", uri, "setxattr", uri, used=now)
            elif self._scheme in ("gs", "gcs"):
                self._call("touch", uri, "cp_file", uri, uri)
            elif hasattr(self._fs, "setxattrs"):  # Azure
                self._call("touch", uri, "setxattrs", uri, used=now)
            else:
                return False
        except StorageError as error:
            if error.transient:
                raise
            return False
        return True

    def _put_file(self, path: str, uri: str) -> None:
        try:
            size = os.path.getsize(path)
        except OSError as error:
            raise explain(error, "read", path) from error
        self._call("store", uri, "put_file", path, uri, moved=size)

    def _bare(self, name: str) -> str:
        # Some file systems return names with the scheme, most without.
        return str(name).partition("://")[2] if "://" in str(name) else str(name)

    def _call(
        self, verb: str, uri: str, method: str, *values: Any, moved: int = 0, **named: Any
    ) -> Any:
        # fsspec's asynchronous file systems take a timeout with every call. The others got theirs when
        # they were opened (`remote_options.options`).
        if self._fs.async_impl:
            named["timeout"] = _STALLED_S + moved / _SLOWEST
        try:
            return self._act(method, values, named)
        except FileNotFoundError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: there is no such object.",
                uri=uri,
                missing=True,
                hint=_MISSING_HINT,
            ) from error
        except PermissionError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: {error}.", uri=uri, hint=_CREDENTIAL_HINT
            ) from error
        except Exception as error:
            # Cloud libraries raise classes of their own for anything, so everything is caught here.
            if isinstance(error, OSError) and error.errno is not None:
                raise explain(error, verb, uri) from error
            raise _foreign(error, verb, uri) from error

    def _act(self, method: str, values: "tuple[Any, ...]", named: "dict[str, Any]") -> Any:
        """Call the file system. When it refuses to let us read, try again without credentials.

        A bucket with public data refuses credentials that it does not know.
        """
        try:
            return getattr(self._fs, method)(*values, **named)
        except Exception as error:
            if method not in _READING or not _is_refused(error):
                raise
            self._public = self._public or anonymous(self._scheme)
            if self._public is None:
                raise
            with suppress(Exception):  # the first refusal says more to a person than this one
                return getattr(self._public, method)(*values, **named)
            raise

    def _abort_parts(self, uri: str) -> None:
        """Make S3 remove the parts of an upload that failed. Other stores remove them by themselves."""
        if not hasattr(self._fs, "list_multipart_uploads"):
            return
        bucket, key, _ = self._fs.split_path(uri)
        try:
            for upload in self._fs.list_multipart_uploads(bucket):
                # Other uploads to the bucket may still be running.
                if upload["Key"] == key:
                    self._fs.abort_mpu(bucket, key, upload["UploadId"])
        except Exception:  # noqa: BLE001 - the caller raises the upload's own error
            return


def _modified_s(info: "Mapping[str, Any]") -> "float | None":
    """Return when the object was written, in seconds since 1970, or `None` when the store does not know.

    Each cloud library has another name and another type for it.
    """
    found = next((info[name] for name in _MODIFIED if info.get(name)), None)
    if isinstance(found, str):
        # Python before 3.11 does not read the Z.
        found = datetime.fromisoformat(found.replace("Z", "+00:00"))
    if isinstance(found, datetime):
        return found.timestamp()
    return float(found) if isinstance(found, (int, float)) else None


def _md5(info: "dict[str, Any]", tag: str) -> str:
    """Return the MD5 that the store knows, or `""`: S3's ETag, Google's `md5Hash`, Azure's `content_md5`."""
    known = info.get("md5Hash") or (info.get("content_settings") or {}).get("content_md5")
    # Google writes it as base64, and Azure's library gives bytes.
    if isinstance(known, str):
        return base64.b64decode(known).hex()
    if known:
        return bytes(known).hex()
    # An ETag of S3 is the MD5 only for an object that was uploaded in one piece; others have a dash in it.
    is_plain = "ETag" in info and len(tag) == 32 and set(tag) <= set("0123456789abcdef")
    return tag if is_plain else ""


def _foreign(error: Exception, verb: str, uri: str) -> StorageError:
    """Return a cloud library's error as a `StorageError`, classified by its HTTP status or its names."""
    names = _names(error)
    status = getattr(error, "code", None) or getattr(error, "status_code", None)
    # 408 is a timeout and 429 too many requests. From 500 on the fault is the server's, and may pass.
    busy = isinstance(status, int) and (status in (408, 429) or status >= 500)
    return StorageError(
        f"Cannot {verb} {uri}: {type(error).__name__}: {error}.",
        uri=uri,
        transient=busy or any(word in names for word in _TRANSIENT_NAMES),
        hint=_CREDENTIAL_HINT if _is_refused(error) else "",
    )


def _names(error: Exception) -> str:
    return " ".join(kind.__name__ for kind in type(error).__mro__) + f" {error}"


def _is_refused(error: Exception) -> bool:
    names = _names(error)
    return isinstance(error, PermissionError) or any(word in names for word in _CREDENTIAL_NAMES)
