"""Files that commands write: each whole, or not there."""

import re

from flyte_nb.api.files import write_atomically

__all__ = ["file_name", "write_atomically"]


def file_name(entity_name: str) -> str:
    """An entity's name as a file's: what no file system likes becomes `_`."""
    return re.sub(r"[^\w.\-]", "_", entity_name).lstrip(".")[:200] or "_"
