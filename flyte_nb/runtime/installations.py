"""The Python installation from which something was registered: its tasks run with that one.

A local backend runs the tasks of several kernels and commands, whose interpreters and packages differ.
Each says which one is its own when it registers; the backend keeps that beside what was registered.
"""

import json
import os
import site
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.runtime.spawn import FOLDERS_VARIABLE, PYTHON_VARIABLE
from flyte_nb.runtime.variables import base_of

VENV, CONDA = "venv", "conda"

_MOST_TEXT = 64 * 1024
_CONFIG = "pyvenv.cfg"


class Installation(NamedTuple):
    """An interpreter with its packages, and the variables of the person who uses it."""

    python: str
    """Path of the interpreter."""
    version: str
    """Its `major.minor`."""
    prefix: str
    """The folder that it is installed in."""
    kind: str = ""
    """`venv`, `conda`, or nothing: what tools look for to know their environment."""
    folders: "tuple[str, ...]" = ()
    """Where it finds packages, in order, when it has more such folders than it begins with."""
    variables: "tuple[tuple[str, str], ...]" = ()
    """See `variables.base_of`."""

    @property
    def commands(self) -> str:
        """The folder of the commands that came with it and its packages."""
        return os.path.dirname(self.python)

    def base(self) -> "dict[str, str]":
        """Return the variables that every process of its tasks gets."""
        found = dict(self.variables)
        folder = found.get("TMPDIR")
        if folder and not os.path.isdir(folder):  # a batch system's, which ended with its job
            del found["TMPDIR"]
        if self.kind == VENV:
            found["VIRTUAL_ENV"] = self.prefix
        elif self.kind == CONDA:
            found["CONDA_PREFIX"] = self.prefix
        return found

    def of_worker(self) -> "dict[str, str]":
        """Return the variables that make a worker run with this interpreter and its packages."""
        found = {PYTHON_VARIABLE: self.python}
        if self.folders:
            found[FOLDERS_VARIABLE] = os.pathsep.join(self.folders)
        return found

    def problem(self, task: str) -> "ErrorInfo | None":
        """Return why a worker cannot be run with it now, for a task of that name; `None` when it can."""
        if not os.access(self.python, os.X_OK):
            why = f"The task {task} was registered from the Python {self.python}, and that is gone."
            return ErrorInfo("USER:PythonGone", f"{why} {_REMEDY}", USER)
        now = _version_of(self.prefix) if self.kind == VENV else ""
        if now and now != self.version:
            why = (
                f"The task {task} was registered by Python {self.version} of the environment"
                f" {self.prefix}, and that was made anew with Python {now}."
            )
            return ErrorInfo("USER:PythonChanged", f"{why} {_REMEDY}", USER)
        return None


_REMEDY = (
    "Register it again from an environment that exists: run the notebook with its kernel, or"
    " `flyte-nb register`. Or put the environment back where it was."
)


def this_installation(environ: "Mapping[str, str] | None" = None) -> "Installation | None":
    """Return the installation of this process; `None` where it does not know its own interpreter."""
    python = _own_python()
    if not python:
        return None
    kind = ""
    if sys.prefix != sys.base_prefix:
        kind = VENV
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = CONDA
    return Installation(
        python,
        f"{sys.version_info[0]}.{sys.version_info[1]}",
        sys.prefix,
        kind,
        _package_folders(),
        tuple(sorted(base_of(os.environ if environ is None else environ).items())),
    )


def dumps(installation: Installation) -> str:
    """Return the installation as JSON; equal ones give equal text. Inverse of `loads`."""
    return json.dumps(installation._asdict(), sort_keys=True)


def loads(text: str) -> Installation:
    """Return the installation in `text`.

    Raises:
        ValueError: when it is none.
    """
    return of_document(json.loads(text))


def of_document(document: Any) -> Installation:
    """Return the installation in a JSON document.

    Raises:
        ValueError: when it is none; says what is wrong.
    """
    if not isinstance(document, dict) or len(str(document)) > _MOST_TEXT:
        raise ValueError("an installation is an object of at most 64 KiB")
    texts = [document.get(name, "") for name in ("python", "version", "prefix", "kind")]
    folders, pairs = document.get("folders", []), document.get("variables", [])
    if not all(isinstance(text, str) and "\0" not in text for text in texts) or not texts[0]:
        raise ValueError("python, version, prefix and kind of an installation are texts")
    if not _are_texts(folders):
        raise ValueError("folders of an installation are texts")
    if not isinstance(pairs, list) or not all(
        _are_texts(pair) and len(pair) == 2 for pair in pairs
    ):
        raise ValueError("variables of an installation are pairs of texts")
    python, version, prefix, kind = texts
    variables = tuple((name, value) for name, value in pairs)
    return Installation(python, version, prefix, kind, tuple(folders), variables)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(text, str) and "\0" not in text for text in value
    )


def _own_python() -> str:
    """The interpreter's path; also where a program that embeds it gives its own as `sys.executable`."""
    here = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    name = os.path.basename(sys.executable or "")
    if name.startswith(("python", "pypy")):
        return sys.executable
    for name in (here, "python3", "python"):
        path = os.path.join(sys.prefix, "bin", name)
        if os.access(path, os.X_OK):
            return path
    return sys.executable or ""


def _package_folders() -> "tuple[str, ...]":
    """Where packages are found here, in order, when somebody added folders to the interpreter's own.

    Those are the user's (`pip install --user`), and what `PYTHONPATH` or `sys.path` names that has
    installed packages. A worker is isolated and would see neither. The notebook's own folder is not
    among them: what is needed of it travels with the code.
    """
    standard = set(_standard_folders())
    beside = {"", os.path.dirname(getattr(sys.modules.get("__main__"), "__file__", None) or "")}
    with suppress(OSError):
        beside.add(os.getcwd())
    found = [
        folder
        for folder in dict.fromkeys(sys.path)
        if folder in standard or (folder not in beside and _has_packages(folder))
    ]
    return () if standard.issuperset(found) else tuple(found)


def _standard_folders() -> "list[str]":
    try:
        return site.getsitepackages()
    except AttributeError:  # a `site` of old releases of virtualenv
        return []


def _has_packages(folder: str) -> bool:
    if not os.path.isabs(folder):
        return False
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".dist-info") for entry in entries)
    except OSError:  # a zip, or nothing
        return False


def _version_of(prefix: str) -> str:
    """The `major.minor` that a virtual environment says it has; empty when it does not."""
    try:
        with open(os.path.join(prefix, _CONFIG), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        return ""
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() in ("version", "version_info"):
            return ".".join(value.strip().split(".")[:2])
    return ""
