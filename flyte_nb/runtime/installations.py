"""The Python installation that registered something. Its tasks run with the same one.

A local backend runs the tasks of several kernels and commands, whose interpreters and packages differ.
Each sends its own installation when it registers, and the backend keeps it beside what was registered.
"""

import json
import os
import site
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

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
    """The interpreter's `major.minor`."""
    prefix: str
    """The interpreter's `sys.prefix`."""
    kind: str = ""
    """`venv`, `conda`, or empty. It decides by which variable tools in the task find their environment."""
    folders: "tuple[str, ...]" = ()
    """The folders in which it finds packages, in order; empty when they are the interpreter's own."""
    variables: "tuple[tuple[str, str], ...]" = ()
    """The person's variables, as `variables.base_of` returns them, sorted."""

    @property
    def commands(self) -> str:
        """Return the folder of the commands that came with the interpreter and its packages."""
        return os.path.dirname(self.python)

    def base(self) -> "dict[str, str]":
        """Return the variables that every process of its tasks gets."""
        found = dict(self.variables)
        folder = found.get("TMPDIR")
        if folder and not os.path.isdir(folder):
            # A batch system makes such a folder for a job and removes it at the job's end.
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
        """Return why a worker of the task `task` cannot run with it now; `None` when it can."""
        if not os.access(self.python, os.X_OK):
            why = f"The task {task} was registered from the Python {self.python}, and that is gone."
            return ErrorInfo("USER:PythonGone", f"{why} {_REMEDY}", USER)
        # The code was pickled by one version of Python, and bytecode of another cannot be loaded.
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
    """Return the installation of this process; `None` when it does not know its own interpreter."""
    python = _own_python()
    if not python:
        return None
    kind = ""
    if sys.prefix != sys.base_prefix:
        kind = VENV
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = CONDA
    return Installation(
        python=python,
        version=f"{sys.version_info[0]}.{sys.version_info[1]}",
        prefix=sys.prefix,
        kind=kind,
        folders=_package_folders(),
        variables=tuple(sorted(base_of(os.environ if environ is None else environ).items())),
    )


def dumps(installation: Installation) -> str:
    """Return the installation as JSON. Equal installations give equal text. Inverse of `loads`."""
    return json.dumps(installation._asdict(), sort_keys=True)


def loads(text: str) -> Installation:
    """Return the installation in `text`.

    Raises:
        ValueError: when the text does not describe an installation.
    """
    return of_document(json.loads(text))


def of_document(document: object) -> Installation:
    """Return the installation in a JSON document. A client sent it, so every field is checked.

    Raises:
        ValueError: when the document does not describe an installation; it says what is wrong.
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
    return Installation(
        python=python,
        version=version,
        prefix=prefix,
        kind=kind,
        folders=tuple(folders),
        variables=tuple((name, value) for name, value in pairs),
    )


def _are_texts(value: object) -> bool:
    # A NUL ends a path or a variable in the system's calls: the system would see another text than we
    # checked.
    return isinstance(value, list) and all(
        isinstance(text, str) and "\0" not in text for text in value
    )


def _own_python() -> str:
    """Return the interpreter's path, also in a program that embeds Python and is the `sys.executable`."""
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
    """Return the folders in which packages are found here, in order; empty when only the usual ones are used.

    Others are the user's own (`pip install --user`), and folders on `PYTHONPATH` or `sys.path` that
    have installed packages. A worker starts isolated (`-I`) and would see neither. The notebook's
    folder is left out, because the modules in it travel with the code.
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
    except AttributeError:  # old releases of virtualenv have a `site` of their own
        return []


def _has_packages(folder: str) -> bool:
    if not os.path.isabs(folder):
        return False
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".dist-info") for entry in entries)
    except OSError:  # a zip file, or a folder that does not exist
        return False


def _version_of(prefix: str) -> str:
    """Return the `major.minor` in a virtual environment's `pyvenv.cfg`; empty when it has none."""
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
