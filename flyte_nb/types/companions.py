"""Modules that travel behind a pickled value, so that its reader can import the classes that it names.

A task that returns an object of a class from the author's own module writes a pickle which refers to that
module by name. The task that reads the value may not have the module. So a zip of it is appended to the
pickle's file. Readers of pickles stop where the pickle ends, so flytekit reads such a file like any other.
Installed packages are not appended: the reader's environment has to have them.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

    from flyte_nb.api.ports import DataAccess

_COMMENT = b"flyte_nb: modules of the pickle before"
_END_BYTES = 22  # size of a zip's end record without its comment (PKWARE APPNOTE 6.3.3, 4.3.16)
MOST_BYTES = 64 << 20
"""Larger modules are left out: every stored value would carry them."""


def companions(modules: "Iterable[str]", data: "DataAccess") -> bytes:
    """Return the zip to append to a pickle that names `modules`; empty when all of them are installed.

    Args:
        modules: names of modules and of their parts; names of anything else are ignored.
        data: where it also is a `ModuleAccess`, it finds the author's own modules. Elsewhere, e.g. in a
            notebook, nothing is appended.
    """
    own_modules = getattr(data, "own_modules", None)
    if own_modules is None:
        return b""
    tops = {module.partition(".")[0] for module in modules}
    tops -= {"__main__", "builtins", "flyte_nb", *sys.stdlib_module_names}
    files: Mapping[str, bytes] = own_modules(tops) if tops else {}
    if not files or sum(map(len, files.values())) > MOST_BYTES:
        return b""
    return _zip(files)


def meet_companions(file: "BinaryIO", data: "DataAccess | None") -> None:
    """Make the modules behind the pickle in `file` importable, unless the reader has them already.

    The reader's own modules win: its version of a class is the one that its code was written for. The
    file is left at its beginning.
    """
    if data is None or not _has_companions(file):
        return
    # Most values come without modules, and loading zipfile would delay every attempt.
    import os
    from zipfile import ZipFile

    with ZipFile(file) as archive:
        tops = {name.partition("/")[0].removesuffix(".py") for name in archive.namelist()}
        if any(name.isidentifier() and not _is_found(name) for name in tops):
            folder = data.scratch()
            os.makedirs(folder, exist_ok=True)
            archive.extractall(folder)
            adopt: Any = getattr(data, "adopt_modules", sys.path.append)
            adopt(folder)
            importlib.invalidate_caches()
    file.seek(0)


def _has_companions(file: "BinaryIO") -> bool:
    """Return whether the file ends with a zip of ours, which its end record's comment marks."""
    length = _END_BYTES + len(_COMMENT)
    size = file.seek(0, 2)
    file.seek(max(0, size - length))
    end = file.read()
    file.seek(0)
    return end.startswith(b"PK\5\6") and end.endswith(_COMMENT)


def _is_found(name: str) -> bool:
    if name in sys.modules:
        return True
    from importlib.util import find_spec  # only values with modules behind them need it

    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _zip(files: "Mapping[str, bytes]") -> bytes:
    """Return a zip that has equal bytes for equal files, so that equal values have equal digests."""
    # Loaded late for the same reason as in `meet_companions`.
    import io
    from zipfile import ZipFile, ZipInfo

    target = io.BytesIO()
    with ZipFile(target, "w") as archive:
        archive.comment = _COMMENT
        for name in sorted(files):
            entry = ZipInfo(name)  # dated 1980, the default
            entry.create_system = 3  # Unix; by default it depends on the writer's system
            archive.writestr(entry, files[name])
    return target.getvalue()
