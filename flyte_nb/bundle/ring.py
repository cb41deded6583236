"""The travelling ring as a zip: our standard-library rooms and cloudpickle, compiled and plain.

The bytes depend on the release, on cloudpickle's and on Python's minor version, on nothing else:
members are sorted and dateless, nothing is compressed (a worker imports without zlib), and compiled
modules are marshalled without references, which would follow the state of this process.
"""

import functools
import hashlib
import importlib.util
import marshal
import sys
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import flyte_nb
from flyte_nb.api.ring import CLOUDPICKLE, RING_FILENAMES, RING_ROOMS
from flyte_nb.bundle.shaded import source_folder
from flyte_nb.bundle.zips import deterministic_zip

_ADAPT = b"\nfrom flyte_nb.worker.shading import adapt as _adapt\n_adapt(cloudpickle)\n"
_UNCHECKED_HASH = b"\x01\x00\x00\x00"  # PEP 552: trust the compiled file, look at no source
_NO_REFERENCES = 2  # marshal format; from 3 on it marks objects that happen to be shared


class Ring(NamedTuple):
    """The zip and its digest."""

    data: bytes
    sha256: str


@functools.cache
def ring() -> Ring:
    """The ring of this release; built once in a process (0.1 s)."""
    data = deterministic_zip(_members())
    return Ring(data, hashlib.sha256(data).hexdigest())


def _members() -> "dict[str, bytes]":
    package = Path(flyte_nb.__file__).parent
    members: dict[str, bytes] = {}
    _add(members, "flyte_nb/__init__.py", package / "__init__.py")
    for room in RING_ROOMS:
        for path in (package / room).rglob("*.py"):
            _add(members, f"flyte_nb/{path.relative_to(package).as_posix()}", path)
    for path in source_folder().glob("*.py"):
        _add(
            members, f"{CLOUDPICKLE}/{path.name}", path, _ADAPT if path.stem == "__init__" else b""
        )
    return members


def _add(members: "dict[str, bytes]", name: str, path: Path, more: bytes = b"") -> None:
    source = path.read_bytes() + more
    members[name] = source
    # Without docstrings: nobody reads them in a worker, and they would be half of what it loads.
    code = compile(source, RING_FILENAMES + name, "exec", dont_inherit=True, optimize=2)
    if sys.version_info >= (3, 11) or not _holds_sets(code):
        members[name + "c"] = _compiled(code, source)


def _holds_sets(code: CodeType) -> bool:
    """Whether a constant is a set: before Python 3.11 marshal wrote them in the hash seed's order."""
    return any(
        isinstance(constant, frozenset)
        or (isinstance(constant, CodeType) and _holds_sets(constant))
        for constant in code.co_consts
    )


def _compiled(code: CodeType, source: bytes) -> bytes:
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code, _NO_REFERENCES)
