"""Files that commands write: each whole, or not there."""

import os
import re
import tempfile
from pathlib import Path

from flyte_nb.api.errors import UsageError


def file_name(entity_name: str) -> str:
    """An entity's name as a file's: what no file system likes becomes `_`."""
    return re.sub(r"[^\w.\-]", "_", entity_name).lstrip(".")[:200] or "_"


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
