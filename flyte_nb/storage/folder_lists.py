"""Write a list of a stored folder's files beside the folder, and read it.

FlyteAdmin signs URLs for single objects and cannot list a folder. So a process without credentials for the
store can read a folder only when it knows the names of its files. The list is an object beside the folder
and not inside of it, so that other readers of the folder find only the author's files.
"""

import json
import os

from flyte_nb.api.errors import StorageError

SINGLE_PART = "00000"
"""The name of the only file in a frame's folder, as flytekit writes it too. Such a folder needs no list."""


def listing_uri(folder_uri: str) -> str:
    """Return the URI of the list of a folder's files."""
    return f"{folder_uri.rstrip('/')}.flyte_nb-files.json"


def listing_of(path: str) -> "bytes | None":
    """Return the list of the files in the local folder `path`, or `None` for a frame's folder."""
    names = sorted(
        os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")
        for folder, _, below in os.walk(path)
        for name in below
    )
    return None if names == [SINGLE_PART] else json.dumps({"files": names}).encode()


def names_in(listing: bytes, uri: str) -> "list[str]":
    """Return the files that a list names, as paths below the folder.

    Args:
        listing: the list's bytes.
        uri: the list's location, for the message.

    Raises:
        StorageError: when the bytes are no such list, or a name leads out of the folder.
    """
    try:
        names = json.loads(listing)["files"]
        good = isinstance(names, list) and all(map(_is_below, names))
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise StorageError(
            f"{uri} is no list of a folder's files.",
            uri=uri,
            hint="It was changed or cut short. Run the task that stored the folder again.",
        )
    return list(names)


def _is_below(name: object) -> bool:
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    return not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))
