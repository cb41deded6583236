"""Download objects and folders through FlyteAdmin, when the store gives them to this process by no other way.

FlyteAdmin signs URLs for single objects, and it lists no folders. So a folder can be read in two cases: when
flyte_nb wrote a list of its files beside it, and when it is a frame of one file, which has a fixed name.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.api.errors import RemoteError, StorageError
from flyte_nb.bundle.retrying import Retrying, Sleep
from flyte_nb.bundle.side_by_side import side_by_side
from flyte_nb.storage.folder_lists import SINGLE_PART, listing_uri, names_in

if TYPE_CHECKING:
    from flyte_nb.client.uploads import Uploads  # loads gRPC, which a local run does not need

_FOLDER_HINT = (
    "Without credentials for the store, single objects can be read, frames of one file, and folders that"
    " flyte_nb wrote. For others set the store's credentials in this process's environment."
)


def download(
    uploads: "Uploads",
    uri: str,
    path: str,
    error: StorageError,
    *,
    scratch: "Callable[[], str]",
    sleep: Sleep,
    may_be_folder: bool = False,
) -> None:
    """Download `uri` to the local `path` by URLs that FlyteAdmin signs.

    Args:
        uploads: Asks FlyteAdmin for URLs.
        uri: The object or folder.
        path: The local path.
        error: The store's own error, for the message when FlyteAdmin does not help either.
        scratch: Returns the path of a new local folder.
        sleep: Waits for that many seconds between two attempts.
        may_be_folder: Whether `uri` may name a folder.

    Raises:
        StorageError: both errors in one: the store's own, and FlyteAdmin's.
    """
    retrying = Retrying(sleep)
    try:
        retrying(lambda: uploads.get(uri, path))
    except (RemoteError, StorageError) as refused:
        if not may_be_folder:
            raise neither(error, refused, uri) from error
        # FlyteAdmin's refusal to sign holds for the files of a folder as well. A store's refusal may only
        # mean that there is no object of that name.
        if isinstance(refused, StorageError) and _has_folder(uploads, uri, path, scratch, sleep):
            return
        raise neither(error, refused, uri, _FOLDER_HINT) from error


def neither(
    error: StorageError, refused: "RemoteError | StorageError", uri: str, hint: str = ""
) -> StorageError:
    """Return one error for an object that neither the store nor FlyteAdmin gives.

    Args:
        error: The store's own error.
        refused: FlyteAdmin's error, or that of the URL that it signed.
        uri: The object.
        hint: What to do, when the store's own error does not say it.
    """
    return StorageError(
        f"{error.message} FlyteAdmin does not hand it out either: {refused.message}",
        uri=uri,
        transient=error.transient,
        # A store that refuses for want of credentials does not say whether there is an object.
        missing=error.missing or (isinstance(refused, StorageError) and refused.missing),
        hint=error.hint or hint,
    )


def _has_folder(
    uploads: "Uploads", uri: str, path: str, scratch: "Callable[[], str]", sleep: Sleep
) -> bool:
    """Download the files of a folder; return whether it is known which files there are.

    Raises:
        StorageError: a file that the folder's list names cannot be downloaded.
    """
    retrying = Retrying(sleep)
    listing = os.path.join(scratch(), "listing")
    at = listing_uri(uri)
    try:
        retrying(lambda: uploads.get(at, listing))
    except (RemoteError, StorageError):
        return _has_part(uploads, uri, path, sleep)
    # `names_in` refuses names that lead out of the folder: the list comes from a store.
    names = names_in(Path(listing).read_bytes(), at)
    os.makedirs(path, exist_ok=True)

    def get(name: str) -> None:
        target = os.path.join(path, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Retrying(sleep)(lambda: uploads.get(f"{uri.rstrip('/')}/{name}", target))

    try:
        for _ in side_by_side(get, names):
            pass
    except RemoteError as refused:
        raise StorageError(refused.message, uri=uri) from refused
    return True


def _has_part(uploads: "Uploads", uri: str, path: str, sleep: Sleep) -> bool:
    """Download a folder that has the one file of a frame; return whether it was there.

    flytekit and flyte_nb write a frame as one file with a fixed name, so it needs no list.
    """
    os.makedirs(path, exist_ok=True)
    part, target = f"{uri.rstrip('/')}/{SINGLE_PART}", os.path.join(path, SINGLE_PART)
    try:
        Retrying(sleep)(lambda: uploads.get(part, target))
    except (RemoteError, StorageError):
        os.rmdir(path)
        return False
    return True
