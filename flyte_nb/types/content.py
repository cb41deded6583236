"""Hash the content of data frames and arrays, so that caches recognise them wherever they are stored.

The hash is Flyte's own `Literal.hash`, which replaces the value in cache keys. Without it the value is a URI,
and each launch would store the same frame at another one and miss the cache. Kernels and tasks compute it
by default; an environment variable switches it off.
"""

import os

from flyte_nb.api.ports import DataAccess

SWITCH = "FLYTE_NB_CONTENT_HASH"
"""Set to `0` in the environment of a kernel or of a task (`environment=`), it switches the hashes off."""

_OFF = frozenset({"0", "false", "no", "off"})
_CHUNK = 1 << 20  # bytes read at a time


def is_wanted() -> bool:
    """Return whether hashes are on, which is so unless this process's environment switches them off."""
    return os.environ.get(SWITCH, "").strip().lower() not in _OFF


def content_hash(path: str, data: DataAccess) -> str:
    """Return the hash of the local file at `path`, or an empty text where `data` wants none.

    Args:
        path: a file that is going to be stored.
        data: wants hashes where it has a true attribute `hashes_content`.
    """
    if not getattr(data, "hashes_content", False):
        return ""
    import hashlib  # it takes a millisecond, which tasks without frames save

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256-{digest.hexdigest()}"
