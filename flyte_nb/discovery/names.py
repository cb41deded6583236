"""The notebook's name, the same in every front end and runner; entities are named after it.

JupyterLab and Notebook give it in `JPY_SESSION_NAME`, VS Code in a variable, our own commands in
`FLYTE_NB_NOTEBOOK`, and papermill in a parameter if it was asked to. Without these, the arguments of the
program that started the kernel may name its input, or papermill noted it in the file that it writes. Without
any of them, it is the one file in the working directory that has every cell which ran.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from flyte_nb.discovery import cell_files
from flyte_nb.discovery.ancestors import Ancestor, ancestors, is_inherited, up_to_kernel
from flyte_nb.discovery.cell_files import executed_cells
from flyte_nb.discovery.runners import SUFFIX, asked, located

DEFAULT = "notebook"
VARIABLE = "FLYTE_NB_NOTEBOOK"
"""Set by our own commands when they execute a notebook."""

_SESSION = "JPY_SESSION_NAME"
_FOREIGN = re.compile(r"[^\w\-]+")

_ARGUMENTS = "the arguments of "

FRONT_ENDS = frozenset({"JupyterLab", "VS Code"})
"""Sources whose name a person sees on the screen, so that it needs no explanation."""


class NotebookName(NamedTuple):
    """A notebook's name, and where it is from."""

    name: str
    """The part of an entity's name before `.function`: letters, digits, `_` and `-`."""
    source: str
    """`given`, `our command`, `JupyterLab`, `VS Code`, `papermill`, `nbconvert`, `jupyter execute`,
    `the arguments of PROGRAM`, `the cells`, `the script`, `default`."""
    path: str = ""
    """The file's path; empty when it is not known, and perhaps relative to a server's folder."""
    candidates: "tuple[str, ...]" = ()
    """Files that fit equally well. None is chosen then, and the name is the default one."""

    @property
    def is_certain(self) -> bool:
        """Whether cells that run later cannot change it."""
        return self.source not in ("default", "the cells") and not self.source.startswith(
            _ARGUMENTS
        )

    @property
    def said(self) -> str:
        """A sentence with the name and its source, for a person; empty when the name is on the screen."""
        if self.source in FRONT_ENDS or not self.name:
            return ""
        file = re.split(r"[/\\]", self.path)[-1] or self.name
        reason = {
            "given": "as %flyte connect --name or flyte_nb.connect(name=…) says",
            "our command": "the notebook that flyte-nb executes",
            "the cells": f"{file} is the only notebook here that has the cells which ran",
            "the script": f"the script is {file}",
            "default": "nothing here says what this notebook is called;"
            " %flyte connect --name NAME names it",
        }.get(self.source, f"{file} is the input of {self.source}")
        if self.source.startswith(_ARGUMENTS):
            reason = f"{file} is one of {self.source}"
        return f"Entities are named {self.name}.…: {reason}."

    @property
    def doubt(self) -> str:
        """An error text, when several notebooks may be this one; else empty."""
        if not self.candidates:
            return ""
        listed = ", ".join(Path(path).name for path in self.candidates)
        first = tidy(_stem(self.candidates[0]))
        return (
            f"This notebook's name is not known: {listed} have the cells that ran, and each of them"
            f" may be it. Nothing was registered. Name it: %flyte connect --name {first} (in Python:"
            f" flyte_nb.connect(name={first!r}))."
        )


def notebook_name(
    env: "Mapping[str, str]",
    user_ns: "Mapping[str, Any]",
    *,
    cwd: Path,
    given: "str | None" = None,
    above: "Callable[[], Sequence[Ancestor]]" = ancestors,
) -> NotebookName:
    """Return what the notebook is called.

    Args:
        env: The kernel's environment.
        user_ns: The notebook's variables.
        cwd: The kernel's working directory.
        given: The name that a person chose (`%flyte connect --name`), which overrules all else. Empty
            means that there is no notebook.
        above: Returns the processes that started this one.
    """
    if given is not None:
        return NotebookName(tidy(given) if given else "", "given")
    processes = tuple(above())
    command = env.get(VARIABLE, "")
    if command and not is_inherited(VARIABLE, command, processes):
        return _named(command, "our command")
    script = user_ns.get("__file__")
    if isinstance(script, str) and "get_ipython" not in user_ns:
        return _named(script, "the script")
    session = env.get(_SESSION, "")
    # Consoles have session names too; only a notebook's ends in `.ipynb`.
    if session.endswith(SUFFIX) and not is_inherited(_SESSION, session, processes):
        return _named(session, "JupyterLab")
    # VS Code puts the path into the namespace; papermill does when the notebook has such a parameter.
    for variable, source in (
        ("__vsc_ipynb_file__", "VS Code"),
        ("PAPERMILL_INPUT_PATH", "papermill"),
    ):
        path = str(user_ns.get(variable) or "")
        if path:
            return _named(located(path, cwd) if source == "papermill" else path, source)
    executed = executed_cells(user_ns)
    return _of_runner(processes, executed) or _of_files(executed, cwd)


def tidy(name: str) -> str:
    """Return the name as it can stand in an entity's name, e.g. `my_notebook` for `my notebook.v2`."""
    return _FOREIGN.sub("_", name.strip()).strip("_") or DEFAULT


def renamed(known: NotebookName, user_ns: "Mapping[str, Any]", *, cwd: Path) -> "str | None":
    """Return the notebook's new name when its file was renamed while the kernel ran, else `None`."""
    if known.source not in (*FRONT_ENDS, "the cells") or not known.path:
        return None
    file = Path(known.path)
    if not file.is_absolute():
        file = cwd / file.name  # JPY_SESSION_NAME may be relative to the server's root
    if file.exists():
        return None
    found = cell_files.most_alike(executed_cells(user_ns), cwd)
    return tidy(found.stem) if found is not None and tidy(found.stem) != known.name else None


def _of_runner(processes: "Sequence[Ancestor]", executed: "Sequence[str]") -> "NotebookName | None":
    """Return the name of the notebook that a program was started with, if one was."""
    for process in up_to_kernel(processes):
        found = asked(process.arguments, process.folder)
        if found is None:
            continue
        source = found.program if found.is_known else f"{_ARGUMENTS}{found.program}"
        paths: Sequence[str] = found.notebooks
        if len(paths) > 1 or not found.is_known:
            files = [cell_files.read(Path(path)) for path in paths]
            paths = [str(file.path) for file in files if file.has_all(executed)]
        if paths:
            return _one_of(paths, source)
        if found.is_known:
            return _one_of(found.notebooks, source)
    return None


def _of_files(executed: "Sequence[str]", cwd: Path) -> NotebookName:
    """Return the name of the notebook file that has the cells, if there is one."""
    if not executed:
        return NotebookName(DEFAULT, "default")
    writing = cell_files.being_written(executed, cwd, _started())
    if writing:
        return _one_of([located(file.original, cwd) for file in writing], "papermill")
    fits = cell_files.fitting(executed, cwd)
    return _one_of([file.original for file in fits], "the cells")


def _one_of(paths: "Sequence[str]", source: str) -> NotebookName:
    """Return the name that the paths have in common; with several names, the default and the candidates."""
    by_name = {tidy(_stem(path)): path for path in reversed(paths)}
    if len(by_name) == 1:
        return _named(next(iter(by_name.values())), source)
    return NotebookName(DEFAULT, "default", candidates=tuple(sorted(by_name.values())))


def _named(path: str, source: str) -> NotebookName:
    return NotebookName(tidy(_stem(path)), source, path)


def _stem(path: str) -> str:
    """Return the name of a file, or the last part of a URL, without its suffix."""
    bare = path.partition("?")[0] if "://" in path else path
    return Path(re.split(r"[/\\]", bare)[-1]).stem


def _started() -> float:
    """Return when this process started, minus two seconds, because a file system's clock may be behind."""
    return float(psutil.Process().create_time()) - 2.0
