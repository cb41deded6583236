"""Which files a stored folder has, written beside it.

FlyteAdmin signs URLs for single objects and lists none. So who has no credentials for a store can read a
folder only when it knows its files. The list is an object beside the folder, never in it: other readers of
the folder see what the author put there.
"""

import json
import os

from flyte_nb.api.errors import StorageError

SINGLE_PART = "00000"
"""The one file of a frame's folder, by flytekit and here. Such a folder needs no list."""


def listing_uri(folder_uri: str) -> str:
    """Return where the list of the folder's files is stored."""
    return f"{folder_uri.rstrip('/')}.flyte_nb-files.json"


def listing_of(path: str) -> "bytes | None":
    """Return the list of the files in the local folder `path`; `None` for a frame's, which needs none."""
    names = sorted(
        os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")
        for folder, _, below in os.walk(path)
        for name in below
    )
    return None if names == [SINGLE_PART] else json.dumps({"files": names}).encode()


def names_in(listing: bytes, uri: str) -> "list[str]":
    """Return the files that a list names, each a path below the folder.

    Raises:
        StorageError: it is no such list, or a name leads out of the folder.
    """
    try:
        names = json.loads(listing)["files"]
        good = isinstance(names, list) and all(map(_is_below, names))
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise StorageError(f"{uri} is no list of a folder's files.", uri=uri)
    return list(names)


def _is_below(name: object) -> bool:
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    return not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))
