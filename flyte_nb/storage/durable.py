"""What survives a power cut: files and their folders, in an order that leaves nothing half-there.

A rename without this may be on the disk before the bytes of the file that it names: after a power cut
the name is there, and the file is empty. A call costs a wait for the disk (some milliseconds), so it is
for what outlives an execution. Only files of this machine need it: object stores answer when an object is
stored. Part of the lean runtime: standard library only.
"""

import os

from flyte_nb.storage.file import explain, local_path, sync_folder

_ONE_BY_ONE = 64
"""With more files than this, one wait for everything that the disk has to write takes less time."""
_NEW_FOLDERS = 5
"""An attempt makes at most so many folders, one in another, for what it stores."""


def is_local(uri: str) -> bool:
    """Return whether `uri` names a file of this machine."""
    return uri.startswith(("file://", "/"))


def is_gone(uri: str) -> bool:
    """Return whether `uri` names a file or folder of this machine that is not there."""
    return is_local(uri) and not os.path.exists(local_path(uri))


def settle(uri: str) -> None:
    """Wait until the file or folder at `uri`, and the way to it, survive a power cut.

    Nothing happens for what lies in another store, or is not there.

    Raises:
        StorageError: the disk failed.
    """
    if not is_local(uri):
        return
    path = local_path(uri).rstrip("/")
    try:
        _settle(path)
        folder = os.path.dirname(path)
        for _ in range(_NEW_FOLDERS):
            sync_folder(folder)
            folder = os.path.dirname(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise explain(error, "store", uri) from error


def _settle(path: str) -> None:
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
    for folder in reversed(folders):
        sync_folder(folder)


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
