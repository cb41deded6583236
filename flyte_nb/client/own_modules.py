"""The author's own modules in a kernel, as files that a pickled value takes along."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from flyte_nb.bundle.modules import LocalModules, Units


def files_in_kernel(tops: "Iterable[str]", roots: "Sequence[Path]") -> "dict[str, bytes]":
    """Return the files, by path, of the modules `tops` that are the author's own, and of what they import.

    Args:
        tops: top-level names.
        roots: folders whose modules are the author's own, usually the notebook's.

    Raises:
        BundleError: when a file of one cannot be read.
    """
    local = LocalModules(Units(roots))
    found: dict[str, bytes] = {}
    for top in sorted(tops):
        local.note(top)
    for unit in local.noted():
        for part in unit.parts:
            with zipfile.ZipFile(io.BytesIO(part.data)) as archive:
                for name in archive.namelist():
                    if not name.endswith("/"):
                        found[name] = archive.read(name)
    return found
