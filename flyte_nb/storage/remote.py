"""Object stores through fsspec: `s3://`, `gs://`, `abfs://`, and whatever else is installed.

Every call ends: what stalls is given up after a time that its size allows, and counts as transient.
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
"""Bytes a second that the slowest line carries that is not called stalled."""
_MULTIPART_BYTES = 100 << 20
"""From here on s3fs uploads in parts, which S3 keeps (and bills) when nobody completes them."""
_TRANSIENT_NAMES = (
    "Connection",
    "IncompleteRead",
    "InternalError",
    "NoSuchUpload",  # somebody else has cleaned up after the same upload
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
_CREDENTIAL_HINT = "Check the credentials that this process has for the bucket."


class FsspecStore:
    """Every URI of one scheme. Object stores replace an object whole, so writes are atomic there."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = file_system(scheme)
        self._public: Any = None

    def read(self, uri: str) -> bytes:
        """The whole object."""
        return bytes(self._call("read", uri, "cat_file", uri, moved=self.size(uri) or 0))

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, replacing what is there."""
        size = len(data)
        try:
            self._call("write", uri, "pipe_file", uri, bytes(data), moved=size)
        except StorageError:
            if size >= _MULTIPART_BYTES:
                self._abort_parts(uri)
            raise

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer, or none, where the object ends."""
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
        """The object's size in bytes, or `None` when there is none."""
        found = self.stat(uri)
        return None if found is None else found.size

    def stat(self, uri: str) -> "Stat | None":
        """Size, and the ETag and MD5 as far as the store knows them; `None` when there is none."""
        try:
            info = self._call("look at", uri, "info", uri)
        except StorageError as error:
            if error.missing:
                return None
            raise
        if info.get("type") != "file":
            return None
        tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
        return Stat(int(info["size"]), _md5(info, tag), tag, _modified_s(info))

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        size = self.size(uri)
        if size is not None:
            self._call("copy", uri, "get_file", uri, path, moved=size)
            return
        below = self.list(uri)
        if not below:
            raise StorageError(f"Cannot copy {uri}: nothing lies there.", uri=uri, missing=True)
        for item in below:
            target = os.path.join(path, item[len(uri.rstrip("/")) + 1 :])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._call("copy", item, "get_file", item, target, moved=self.size(item) or 0)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        if not os.path.isdir(path):
            self._put_file(path, uri)
            return
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                full = os.path.join(folder, name)
                self._put_file(full, f"{uri.rstrip('/')}/{os.path.relpath(full, path)}")

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        try:
            found = self._call("list", uri, "find", uri.rstrip("/") + "/")
        except StorageError as error:
            if error.missing:
                return []
            raise
        return sorted(f"{self._scheme}://{self._bare(name)}" for name in found)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        try:
            self._call("delete", uri, "rm_file", uri)
        except StorageError as error:
            if not error.missing:
                raise

    def touch(self, uri: str) -> bool:
        """Make the object's time the present, without its bytes; whether the store can do that."""
        now = str(time.time_ns())
        try:
            if hasattr(
                self._fs, "setxattr"
            ):  # S3: a copy onto itself, which has to change something
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
        return str(name).partition("://")[2] if "://" in str(name) else str(name)

    def _call(
        self, verb: str, uri: str, method: str, *values: Any, moved: int = 0, **named: Any
    ) -> Any:
        if self._fs.async_impl:
            named["timeout"] = _STALLED_S + moved / _SLOWEST
        try:
            return self._act(method, values, named)
        except FileNotFoundError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: there is no such object.",
                uri=uri,
                missing=True,
                hint="Was it deleted, or written to another bucket?",
            ) from error
        except PermissionError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: {error}.", uri=uri, hint=_CREDENTIAL_HINT
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise explain(error, verb, uri) from error
            raise _foreign(error, verb, uri) from error

    def _act(self, method: str, values: "tuple[Any, ...]", named: "dict[str, Any]") -> Any:
        """Call the file system; without credentials, as public data is read, when it refuses ours."""
        try:
            return getattr(self._fs, method)(*values, **named)
        except Exception as error:
            if method not in _READING or not _is_refused(error):
                raise
            self._public = self._public or anonymous(self._scheme)
            if self._public is None:
                raise
            with suppress(Exception):  # the refusal is what there is to tell
                return getattr(self._public, method)(*values, **named)
            raise

    def _abort_parts(self, uri: str) -> None:
        """Have S3 forget the parts of an upload that failed; other stores forget them by themselves."""
        if not hasattr(self._fs, "list_multipart_uploads"):
            return
        bucket, key, _ = self._fs.split_path(uri)
        try:
            for upload in self._fs.list_multipart_uploads(bucket):
                if upload["Key"] == key:
                    self._fs.abort_mpu(bucket, key, upload["UploadId"])
        except Exception:  # noqa: BLE001 - the upload's own error is the one to tell
            return


def _modified_s(info: "Mapping[str, Any]") -> "float | None":
    """When the object was written. Each cloud library has another name and type for it."""
    said = next((info[name] for name in _MODIFIED if info.get(name)), None)
    if isinstance(said, str):
        said = datetime.fromisoformat(said.replace("Z", "+00:00"))
    if isinstance(said, datetime):
        return said.timestamp()
    return float(said) if isinstance(said, (int, float)) else None


def _md5(info: "dict[str, Any]", tag: str) -> str:
    """The MD5 that a store tells: S3's plain ETag, Google's `md5Hash`, Azure's `content_md5`."""
    told = info.get("md5Hash") or (info.get("content_settings") or {}).get("content_md5")
    if isinstance(told, str):
        return base64.b64decode(told).hex()
    if told:
        return bytes(told).hex()
    is_plain = "ETag" in info and len(tag) == 32 and set(tag) <= set("0123456789abcdef")
    return tag if is_plain else ""


def _foreign(error: Exception, verb: str, uri: str) -> StorageError:
    """An error of a cloud library: told by its status or name, for there is no common base class."""
    names = _names(error)
    status = getattr(error, "code", None) or getattr(error, "status_code", None)
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
