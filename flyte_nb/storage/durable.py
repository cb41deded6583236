"""Make local files survive a power cut: write the bytes to the disk, then the names of files and folders.

A rename alone may reach the disk before the bytes of the renamed file. After a power cut the file has its
name and is empty. Waiting for the disk costs some milliseconds, so this is only for values that are used
after their execution. Other stores need nothing: they answer only when an object is stored.

Part of the lean runtime: standard library only.
"""

import os

from flyte_nb.storage.file import explain, local_path, sync_folder

_ONE_BY_ONE = 64
"""For more files than this, one `os.sync` for the whole disk is faster than an `fsync` for each file."""
_NEW_FOLDERS = 5
"""The most folders, one inside of the other, that an attempt makes for a value that it stores."""


def is_local(uri: str) -> bool:
    """Return whether `uri` names a file of this machine."""
    return uri.startswith(("file://", "/"))


def is_gone(uri: str) -> bool:
    """Return whether `uri` names a file or folder of this machine that does not exist."""
    return is_local(uri) and not os.path.exists(local_path(uri))


def make_durable(uri: str) -> None:
    """Wait until the file or folder at `uri`, and the folders above it, survive a power cut.

    Nothing happens when `uri` belongs to another store or does not exist.

    Raises:
        StorageError: when the disk fails.
    """
    if not is_local(uri):
        return
    path = local_path(uri).rstrip("/")
    try:
        _sync_tree(path)
        folder = os.path.dirname(path)
        for _ in range(_NEW_FOLDERS):
            sync_folder(folder)
            folder = os.path.dirname(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise explain(error, "store", uri) from error


def _sync_tree(path: str) -> None:
    if not os.path.isdir(path):
        _sync_file(path)
        return
    files: list[str] = []
    folders: list[str] = []
    for folder, _, names in os.walk(path):
        folders.append(folder)
        files += [os.path.join(folder, name) for name in names]
    if len(files) > _ONE_BY_ONE:
        os.sync()
        return
    for file in files:
        _sync_file(file)
    # Inner folders first, so that no folder is on the disk before what is in it.
    for folder in reversed(folders):
        sync_folder(folder)


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
