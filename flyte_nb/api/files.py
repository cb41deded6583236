"""Write files atomically: a reader finds the whole file, or none."""

import os
import tempfile
from pathlib import Path

from flyte_nb.api.errors import UsageError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none.

    Args:
        path: its folder is created when it is missing; an existing file is replaced.
        content: the bytes.

    Raises:
        UsageError: when the folder or file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
