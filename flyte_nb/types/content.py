"""The hash of a frame's or an array's content, by which a cache knows it again wherever it is stored.

It goes into Flyte's own `Literal.hash`: a cache key has the hash in place of the value. It is computed by
default, in kernels and in tasks, and switched off by an environment variable.
"""

import os

from flyte_nb.api.ports import DataAccess

SWITCH = "FLYTE_NB_CONTENT_HASH"
"""`0` in the environment of a kernel, or of a task (`environment=`): frames count by their URI."""

_OFF = frozenset({"0", "false", "no", "off"})
_CHUNK = 1 << 20


def is_wanted() -> bool:
    """Return whether this process's environment leaves the hashes on."""
    return os.environ.get(SWITCH, "").strip().lower() not in _OFF


def content_hash(path: str, data: DataAccess) -> str:
    """Return the hash of the stored file at `path`; an empty text where `data` wants none."""
    if not getattr(data, "hashes_content", False):
        return ""
    import hashlib  # a millisecond that tasks without frames need not pay

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256-{digest.hexdigest()}"
