"""Object stores through fsspec: `s3://`, `gs://`, `abfs://`, and whatever else is installed."""

import os
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.storage.file import explain

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "abfs",
    "abfss": "abfs",
    "az": "abfs",
}
_TRANSIENT_NAMES = (
    "Timeout",
    "Connection",
    "Throttl",
    "SlowDown",
    "Unavailable",
    "Temporar",
    "Reset",
)


class FsspecStore:
    """Every URI of one scheme. Object stores replace an object whole, so writes are atomic there."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = _file_system(scheme)

    def read(self, uri: str) -> bytes:
        """The whole object."""
        return bytes(self._try("read", uri, lambda: self._fs.cat_file(uri)))

    def write(self, uri: str, data: bytes) -> None:
        """Store `data` at `uri`, replacing what is there."""
        self._try("write", uri, lambda: self._fs.pipe_file(uri, bytes(data)))

    def size(self, uri: str) -> "int | None":
        """The object's size in bytes, or `None` when there is none."""
        try:
            info = self._try("look at", uri, lambda: self._fs.info(uri))
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return int(info["size"]) if info.get("type") == "file" else None

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.size(uri) is not None:
            self._try("copy", uri, lambda: self._fs.get_file(uri, path))
            return
        below = self.list(uri)
        if not below:
            raise StorageError(f"Cannot copy {uri}: nothing lies there.", uri=uri)
        for item in below:
            target = os.path.join(path, item[len(uri.rstrip("/")) + 1 :])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._try("copy", item, lambda i=item, t=target: self._fs.get_file(i, t))

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        if not os.path.isdir(path):
            self._try("store", uri, lambda: self._fs.put_file(path, uri))
            return
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                full = os.path.join(folder, name)
                target = f"{uri.rstrip('/')}/{os.path.relpath(full, path)}"
                self._try("store", target, lambda f=full, t=target: self._fs.put_file(f, t))

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        found = self._try("list", uri, lambda: self._fs.find(uri))
        return sorted(self._fs.unstrip_protocol(name) for name in found)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        try:
            self._try("delete", uri, lambda: self._fs.rm_file(uri))
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def _try(self, verb: str, uri: str, act: Any) -> Any:
        try:
            return act()
        except StorageError:
            raise
        except FileNotFoundError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: there is no such object.",
                uri=uri,
                hint="Was it deleted, or written to another bucket?",
            ) from error
        except PermissionError as error:
            raise StorageError(
                f"Cannot {verb} {uri}: {error}.",
                uri=uri,
                hint="Check the credentials that this process has for the bucket.",
            ) from error
        except OSError as error:
            if error.errno is not None:
                raise explain(error, verb, uri) from error
            raise _foreign(error, verb, uri) from error
        except Exception as error:
            raise _foreign(error, verb, uri) from error


def _foreign(error: Exception, verb: str, uri: str) -> StorageError:
    """An error of a cloud library: told transient by its name, for there is no common base class."""
    names = " ".join(kind.__name__ for kind in type(error).__mro__) + f" {error}"
    transient = any(word in names for word in _TRANSIENT_NAMES)
    return StorageError(
        f"Cannot {verb} {uri}: {type(error).__name__}: {error}.", uri=uri, transient=transient
    )


def _file_system(scheme: str) -> Any:
    import fsspec

    extra = _EXTRAS.get(scheme)
    hint = (
        f"Install it: pip install 'flyte-nb[{extra}]'." if extra else "Install its fsspec package."
    )
    try:
        # One instance for each store: fsspec's cache is global, and keeps listings and credentials.
        return fsspec.filesystem(  # type: ignore[no-untyped-call]
            scheme, skip_instance_cache=True, use_listings_cache=False
        )
    except ImportError as error:
        raise StorageError(
            f"{scheme}:// needs a package that is not installed: {error}.",
            uri=f"{scheme}://",
            hint=hint,
        ) from error
    except ValueError as error:
        raise StorageError(
            f"Nothing here reads {scheme}:// ({error}).",
            uri=f"{scheme}://",
            hint="Is the scheme spelled right? file, s3, gs, abfs and what fsspec knows can be used.",
        ) from error
