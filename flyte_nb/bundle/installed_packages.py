"""Find the installed packages that brought the modules that a task uses, pinned to their versions.

They are read from the `.dist-info` folders beside a module. `importlib.metadata` would parse every
installed package to find the one that brought `yaml`, which takes half a second. This module lists one
folder and reads at most a few files.

Source: PEP 376 (RECORD), PEP 610 (direct_url.json), PEP 503 (names), PEP 508 (`name @ url`).
"""

import functools
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable
from typing import NamedTuple

from flyte_nb.api.ring import RING_PACKAGES

_FOLDER = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(-py[\d.]+)?\.(dist|egg)-info$")


class Requirement(NamedTuple):
    """One installed package that the task's code needs."""

    text: str
    """A pinned requirement in the format of PEP 508: `numpy==1.26.4`, `mine @ git+https://…@<commit>`."""
    modules: "tuple[str, ...]"
    """The top-level modules of it that the code uses."""
    note: str = ""
    """Why it cannot be installed on another machine; empty when it can."""


def requirements(modules: "Iterable[str]") -> "tuple[Requirement, ...]":
    """Return the packages that brought the modules, sorted. Python's own modules have none.

    Args:
        modules: full names of importable modules. For a namespace package such as `google.protobuf` the
            second name decides which package brought it.
    """
    found: dict[str, set[str]] = {}
    notes: dict[str, str] = {}
    for module in sorted(set(modules)):
        top = module.partition(".")[0]
        if (
            top in sys.stdlib_module_names
            or top in sys.builtin_module_names
            or top in RING_PACKAGES
        ):
            continue
        for package in _brought(module):
            text, note = _pinned(package)
            found.setdefault(text, set()).add(top)
            notes[text] = note
    return tuple(
        Requirement(text, tuple(sorted(found[text])), notes[text]) for text in sorted(found)
    )


class _Package(NamedTuple):
    name: str
    version: str
    info: str
    """Path of its `.dist-info`."""


def _brought(module: str) -> "tuple[_Package, ...]":
    top, _, below = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return ()
    # It is missing here too. `remarks` says so to the author.
    if spec is None:
        return ()
    # A namespace package has several folders, and each distribution adds its own.
    places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    for place in places:
        folder = os.path.dirname(place)
        try:
            changed = os.stat(folder or os.curdir).st_mtime_ns
        except OSError:
            continue
        is_namespace = spec.origin is None
        path = f"{top}/{below.partition('.')[0]}" if is_namespace and below else top
        packages = _in_folder(folder, changed, path, several=is_namespace)
        if packages:
            return packages
    return ()


@functools.lru_cache(maxsize=1024)
def _in_folder(folder: str, changed: int, path: str, *, several: bool) -> "tuple[_Package, ...]":
    """Return the packages in the folder that brought `path`, a module's path without its ending.

    Packages with a name like the module's are examined first, because most packages are named after
    their module. Then one file has to be read and not hundreds.
    """
    name = _normal(path.partition("/")[0])
    packages = sorted(
        _packages(folder, changed), key=lambda each: (each.name != name, name not in each.name)
    )
    having = (package for package in packages if _has(package, path))
    if several:
        return tuple(sorted(having))
    # A regular package is brought by one distribution. Looking at the others would read their lists for
    # nothing.
    first = next(having, None)
    return () if first is None else (first,)


@functools.lru_cache(maxsize=16)
def _packages(folder: str, changed: int) -> "tuple[_Package, ...]":
    found = []
    for name in sorted(os.listdir(folder)):
        match = _FOLDER.match(name)
        if match is not None:
            info = os.path.join(folder, name)
            found.append(_Package(_normal(match["name"]), match["version"], info))
    return tuple(found)


def _has(package: _Package, path: str) -> bool:
    """Return whether the package's list of files has the module."""
    listed = _listed(package)
    start = b"\n" + path.encode()
    return any(start + end in listed for end in (b"/", b".py,", b".cpython-", b".abi3", b".so,"))


def _listed(package: _Package) -> bytes:
    record = _read(package, "RECORD")
    if record:
        return b"\n" + record
    # Debian's packages and editable installs of setuptools list only their top-level names.
    tops = _read(package, "top_level.txt").split()
    return b"".join(b"\n" + top + b"/" for top in tops)


def _read(package: _Package, name: str) -> bytes:
    try:
        with open(os.path.join(package.info, name), "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""


def _pinned(package: _Package) -> "tuple[str, str]":
    plain = f"{package.name}=={package.version}"
    try:
        direct = json.loads(_read(package, "direct_url.json") or b"{}")
    except ValueError:
        direct = {}
    url = str(direct.get("url", ""))
    if not url:
        return plain, ""
    # The commit and not the branch: the branch may be another one tomorrow.
    if "vcs_info" in direct:
        vcs = direct["vcs_info"]
        place = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
        below = direct.get("subdirectory")
        return f"{package.name} @ {place}" + (f"#subdirectory={below}" if below else ""), ""
    if url.startswith("file:"):
        return plain, (
            "it was installed from a folder or file of this machine, and no other machine has that"
        )
    return f"{package.name} @ {url}", ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
