"""Collect the files of the author's own modules, which travel with a pickled value that needs them.

The worker does the same for values that tasks return (`worker/own_modules.py`); this is the kernel's side.
"""

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from flyte_nb.bundle.local_modules import LocalModules, Units


def files_in_kernel(tops: "Iterable[str]", roots: "Sequence[Path]") -> "dict[str, bytes]":
    """Return the files of those modules that are the author's own, and of the modules they import, by path.

    Args:
        tops: Top-level names of modules that a value needs. Installed ones are left out.
        roots: Folders whose modules are the author's own, usually the notebook's.

    Raises:
        BundleError: a file of one of the modules cannot be read.
    """
    local = LocalModules(Units(roots))
    found: dict[str, bytes] = {}
    for top in sorted(tops):
        local.note(top)
    # Units are packed as zips for bundles. Here a value takes the files themselves.
    for unit in local.noted():
        for part in unit.parts:
            with zipfile.ZipFile(io.BytesIO(part.data)) as archive:
                for name in archive.namelist():
                    if not name.endswith("/"):
                        found[name] = archive.read(name)
    return found
