"""Names of files that commands write."""

import re


def file_name(entity_name: str) -> str:
    """Return a file name for the entity: characters that some file systems refuse become `_`."""
    return re.sub(r"[^\w.\-]", "_", entity_name).lstrip(".")[:200] or "_"
