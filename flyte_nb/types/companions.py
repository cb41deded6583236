"""Modules that come with a pickled value, so that whoever reads it finds the classes that it names.

They are a zip that follows the pickle in its file. Other readers of pickles stop where the pickle ends,
so flytekit reads such a file as any other. Only modules of the author's own come along: what is
installed is found where it is installed.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

    from flyte_nb.api.ports import DataAccess

_COMMENT = b"flyte_nb: modules of the pickle before"
_END_BYTES = 22
MOST_BYTES = 64 << 20
"""More does not come with a value."""


def companions(modules: "Iterable[str]", data: "DataAccess") -> bytes:
    """Return the zip that follows a pickle which names `modules`; nothing when all are installed."""
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
    """Make the modules that come with the pickle in `file` importable, where they are not already.

    The reader's own module of a name stands before one that comes with a value.
    """
    if data is None or not _has_companions(file):
        return
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
    length = _END_BYTES + len(_COMMENT)
    size = file.seek(0, 2)
    file.seek(max(0, size - length))
    end = file.read()
    file.seek(0)
    return end.startswith(b"PK\5\6") and end.endswith(_COMMENT)


def _is_found(name: str) -> bool:
    if name in sys.modules:
        return True
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _zip(files: "Mapping[str, bytes]") -> bytes:
    """A zip with equal bytes for equal files."""
    import io
    from zipfile import ZipFile, ZipInfo

    target = io.BytesIO()
    with ZipFile(target, "w") as archive:
        archive.comment = _COMMENT
        for name in sorted(files):
            entry = ZipInfo(name)  # dated 1980, whenever it is made
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return target.getvalue()
