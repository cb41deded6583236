"""Build the travelling ring: a zip of our standard-library rooms and cloudpickle, compiled and as source.

The bytes depend only on this release, on cloudpickle's release and on Python's minor version, so that all
bundles of a release share one member. Files are sorted and have no dates. Nothing is compressed, because a
worker imports from the zip without zlib. Compiled modules are marshalled without references, because those
follow the reference counts of objects in this process.
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
_UNCHECKED_HASH = (
    b"\x01\x00\x00\x00"  # PEP 552: use the compiled file without comparing it to its source
)
_NO_REFERENCES = (
    2  # version of marshal's format; from 3 on it marks objects that happen to be shared
)


class Ring(NamedTuple):
    """The zip and its digest."""

    data: bytes
    sha256: str


@functools.cache
def ring() -> Ring:
    """Return the ring of this release. It is built once in a process, which takes 0.1 s.

    Raises:
        BundleError: when cloudpickle is not installed as files.
    """
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
    # Without docstrings and assertions (optimize=2): docstrings would be half of what a worker loads.
    code = compile(source, RING_FILENAMES + name, "exec", dont_inherit=True, optimize=2)
    if sys.version_info >= (3, 11) or not _holds_sets(code):
        members[name + "c"] = _compiled(code, source)


def _holds_sets(code: CodeType) -> bool:
    """Return whether a constant of the code is a set.

    Before Python 3.11 marshal wrote sets in an order that depends on the hash seed. There such a module
    travels as source only, so that the ring's bytes stay equal.
    """
    return any(
        isinstance(constant, frozenset)
        or (isinstance(constant, CodeType) and _holds_sets(constant))
        for constant in code.co_consts
    )


def _compiled(code: CodeType, source: bytes) -> bytes:
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code, _NO_REFERENCES)
