"""Use the local file system as a store, with atomic writes and errors that say what to do."""

import errno
import os
import stat

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat

_CHUNK = 1 << 20
_ROOM_BYTES = 1 << 16
"""With less free space an attempt can write neither results nor an error."""
_TRANSIENT = frozenset(
    {
        *(errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT),
        # Folders that are mounted over a network have these too, and `explain` also serves remote stores.
        *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE),
        *(errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN),
    }
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileStore:
    """A `BlobStore` for `file:///…` and plain absolute paths.

    A write goes to a temporary file beside its target, which is then renamed. So a reader sees the old
    object or the new one, and never a part. Only `write_durably` also waits for the disk: a staged object
    that a power cut damaged is found and written again when it is staged the next time.
    """

    def read(self, uri: str) -> bytes:
        """Return the whole object.

        Raises:
            StorageError: when there is no such file or it cannot be read.
        """
        try:
            with open(local_path(uri), "rb", buffering=0) as file:
                return file.readall()
        except OSError as error:
            raise explain(error, "read", uri) from error

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` and replace an existing object.

        Raises:
            StorageError: when the file cannot be written.
        """
        path = local_path(uri)
        try:
            _write_beside(path, data)
        except OSError as error:
            raise explain(error, "write", uri) from error

    def write_durably(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` so that the whole object survives a power cut, or none of it exists.

        Raises:
            StorageError: when the file cannot be written.
        """
        path = local_path(uri)
        try:
            _write_beside(path, data, durable=True)
            # The new name is in the folder, and the disk may get that later than the file.
            sync_folder(os.path.dirname(path))
        except OSError as error:
            raise explain(error, "write", uri) from error

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on; fewer, or none, where the object ends.

        Raises:
            StorageError: when there is no such file or it cannot be read.
        """
        try:
            with open(local_path(uri), "rb", buffering=0) as file:
                if offset:
                    file.seek(offset)
                return file.read(length) or b""
        except OSError as error:
            raise explain(error, "read", uri) from error

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no such object.

        Raises:
            StorageError: when the file cannot be looked at.
        """
        found = self.stat(uri)
        return None if found is None else found.size

    def stat(self, uri: str) -> "Stat | None":
        """Return the size, the time, and a stamp of both and the inode, or `None` when there is no such file.

        Raises:
            StorageError: when the file cannot be looked at.
        """
        try:
            found = os.stat(local_path(uri))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explain(error, "look at", uri) from error
        if not stat.S_ISREG(found.st_mode):
            return None
        # Each write here makes a new file, so the inode tells apart what has the same time and size.
        stamp = f"{found.st_dev}-{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
        return Stat(found.st_size, stamp=stamp, modified_s=found.st_mtime)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`.

        Raises:
            StorageError: when there is nothing at `uri`, or it cannot be copied.
        """
        try:
            _copy(local_path(uri), path)
        except OSError as error:
            raise explain(error, "copy", uri) from error

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`.

        Raises:
            StorageError: when the file cannot be read or its copy cannot be written.
        """
        try:
            _copy(path, local_path(uri))
        except OSError as error:
            raise explain(error, "store", uri) from error

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        prefix = "file://" if uri.startswith("file://") else ""
        found: list[str] = []
        for folder, _, names in os.walk(local_path(uri)):
            found.extend(
                f"{prefix}{os.path.join(folder, name)}" for name in names if _is_object(name)
            )
        return sorted(found)

    def delete(self, uri: str) -> None:
        """Remove the object. Nothing happens when there is no such object.

        Raises:
            StorageError: when the file cannot be removed.
        """
        try:
            os.unlink(local_path(uri))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise explain(error, "delete", uri) from error

    def touch(self, uri: str) -> bool:
        """Set the object's time to the present; return whether that could be done."""
        try:
            os.utime(local_path(uri))
        except OSError:  # the file is gone, or another user owns it
            return False
        return True


def local_path(uri: str) -> str:
    """Return the path that a `file://` URI names. A plain path is returned as it is.

    Raises:
        StorageError: when the URI names another machine or no absolute path.
    """
    if not uri.startswith("file://"):
        return uri
    path = uri[len("file://") :]
    # RFC 8089 allows `file://localhost/…` for this machine.
    if path.startswith("localhost/"):
        path = path[len("localhost") :]
    if not path.startswith("/"):
        raise StorageError(
            f"{uri!r} names no local file.", uri=uri, hint="Write it as file:///absolute/path."
        )
    return path


def is_full(uri: str) -> bool:
    """Return whether `uri` is on a local disk that is full; `False` for any other store."""
    if not uri.startswith(("file://", "/")):
        return False
    folder = local_path(uri)
    # The place may still have to be made. `statvfs` needs one that exists.
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    disk = os.statvfs(folder)  # not shutil: it costs 5 ms to import
    return disk.f_bavail * disk.f_frsize < _ROOM_BYTES


def sync_folder(folder: str) -> None:
    """Wait until the names in `folder` survive a power cut.

    Raises:
        OSError: when the folder does not exist or the disk fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # another user's folder, which this process has not made
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explain(error: OSError, verb: str, uri: str) -> StorageError:
    """Return the operating system's error as a `StorageError` that says what to do.

    Args:
        error: the error.
        verb: what was tried: `read`, `write`, ….
        uri: the object or path.
    """
    reason = error.strerror or str(error)
    number = error.errno
    if number in _FULL:
        hint = "The disk or the quota is full. Make room there, and try again."
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "This user may not do that there. Change the permissions, or choose another place."
    elif number in (errno.ENOENT, errno.ENOTDIR):
        hint = "There is no such file. Was it deleted, or written on another machine?"
    elif number in (errno.EMFILE, errno.ENFILE):
        hint = "Too many files are open. Raise the limit (ulimit -n)."
    else:
        hint = ""
    return StorageError(
        f"Cannot {verb} {uri}: {reason}.",
        uri=uri,
        transient=number in _TRANSIENT,
        missing=number in (errno.ENOENT, errno.ENOTDIR),
        hint=hint,
    )


def _write_beside(path: str, data: "bytes | memoryview", *, durable: bool = False) -> None:
    beside = _beside(path)
    # The folder exists nearly always, so it is made only after the first try has failed.
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            view = memoryview(data)
            while view:
                # One call may write a part only: Linux stops at 2 GB.
                view = view[os.write(descriptor, view) :]
            if durable:  # the bytes have to reach the disk before the name (`storage/durable.py`)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except BaseException:  # also after an interrupt no half-written file stays behind
        _forget(beside)
        raise


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(source)):
            _copy(os.path.join(source, name), os.path.join(target, name))
        return
    beside = _beside(target)
    with open(source, "rb", buffering=0) as reader:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        try:
            with open(beside, "xb", buffering=0) as writer:
                while chunk := reader.read(_CHUNK):
                    view = memoryview(chunk)
                    while view:
                        view = view[writer.write(view) :]
            os.replace(beside, target)
        except BaseException:
            _forget(beside)
            raise


def _beside(path: str) -> str:
    """Return a new path in the same folder: a rename is atomic only inside of one file system."""
    folder, name = os.path.split(path)
    # Two writers of one path must not share the file. The name is cut to fit into 255 bytes.
    return os.path.join(folder, f".{name[:100]}.{os.getpid()}.{os.urandom(4).hex()}.part")


def _is_object(name: str) -> bool:
    """Return whether a file is an object, and not a temporary file of an unfinished write."""
    return not (name.startswith(".") and name.endswith(".part"))


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
