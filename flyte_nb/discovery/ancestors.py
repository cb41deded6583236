"""The processes that started this one: their arguments, folders and variables."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil


class Ancestor(NamedTuple):
    """One process above this one."""

    arguments: "tuple[str, ...]"
    """As it was started, the program first; empty when they cannot be read."""
    folder: "Path | None" = None
    """Its working directory; `None` when it cannot be read."""
    variables: "Callable[[], Mapping[str, str]]" = dict
    """Returns its environment; empty when it cannot be read."""

    @property
    def is_kernel(self) -> bool:
        """Whether it is a Jupyter kernel: it was started with a connection file, or is ipykernel."""
        return any("ipykernel" in argument for argument in self.arguments) or any(
            argument.endswith(".json") and (before == "-f" or argument.startswith("--f="))
            for before, argument in zip(("", *self.arguments), self.arguments, strict=False)
        )


def ancestors() -> "tuple[Ancestor, ...]":
    """Return the processes above this one, the parent first."""
    try:
        above = psutil.Process().parents()
    except psutil.Error:
        return ()
    return tuple(_read(process) for process in above)


def up_to_kernel(above: "Sequence[Ancestor]") -> "tuple[Ancestor, ...]":
    """Return the processes below the nearest kernel; what stands above it started that kernel."""
    for index, ancestor in enumerate(above):
        if ancestor.is_kernel:
            return tuple(above[:index])
    return tuple(above)


def is_inherited(name: str, value: str, above: "Sequence[Ancestor]") -> bool:
    """Return whether a variable was set for a kernel above this process, and not for this one.

    A kernel hands its environment to what it starts, so a notebook that runs another one with
    papermill gives it a `JPY_SESSION_NAME` that names the wrong notebook.
    """
    return any(ancestor.is_kernel and ancestor.variables().get(name) == value for ancestor in above)


def _read(process: psutil.Process) -> Ancestor:
    return Ancestor(_arguments(process), _folder(process), lambda: _variables(process))


def _arguments(process: psutil.Process) -> "tuple[str, ...]":
    try:
        return tuple(process.cmdline())
    except (psutil.Error, OSError):
        return ()


def _folder(process: psutil.Process) -> "Path | None":
    try:
        folder = process.cwd()
    except (psutil.Error, OSError):
        return None
    return Path(folder) if folder else None


def _variables(process: psutil.Process) -> "Mapping[str, str]":
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}
