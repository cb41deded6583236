"""Files that are whole, or not there."""

import os
import tempfile
from pathlib import Path

from flyte_nb.api.errors import UsageError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none. Raises `UsageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
