"""The notebook's name, the same in every front end and runner; entities are named after it.

JupyterLab and Notebook tell the kernel by `JPY_SESSION_NAME`, VS Code by a variable, papermill by a
parameter, our own commands by `FLYTE_NB_NOTEBOOK`. nbclient and nbval tell nothing; there the notebook
is the file in the working directory whose cells are the ones that ran.
"""

import json
import linecache
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT = "notebook"
VARIABLE = "FLYTE_NB_NOTEBOOK"
"""Set by our own commands when they execute a notebook."""

_FOREIGN = re.compile(r"[^\w\-]+")
_MAGIC = re.compile(r"^\s*[%!?]|\?\s*$|=\s*[%!]", re.MULTILINE)
_CELL_FILE = re.compile(r"[/\\\\]ipykernel_\d+[/\\\\]|^<ipython-input-")
_LARGEST_BYTES = 64 << 20  # a bigger .ipynb holds somebody's pictures, and reading it takes long


class NotebookName(NamedTuple):
    """A notebook's name, and who said it."""

    name: str
    """Fit to stand before `.function`: letters, digits, `_` and `-`."""
    source: str
    """`given`, `our command`, `JupyterLab`, `VS Code`, `papermill`, `the cells`, `the script`, `default`."""
    path: str = ""
    """The file, as far as it is known."""


def notebook_name(
    env: "Mapping[str, str]",
    user_ns: "Mapping[str, Any]",
    *,
    cwd: Path,
    given: "str | None" = None,
) -> NotebookName:
    """What the notebook is called.

    Args:
        env: The kernel's environment.
        user_ns: The notebook's variables.
        cwd: The kernel's working directory.
        given: What the person said (`%flyte connect --name`); wins. Empty: there is no notebook.
    """
    if given is not None:
        return NotebookName(tidy(given) if given else "", "given")
    told = (
        (env.get(VARIABLE, ""), "our command"),
        (_notebook_path(env.get("JPY_SESSION_NAME", "")), "JupyterLab"),
        (str(user_ns.get("__vsc_ipynb_file__") or ""), "VS Code"),
        (str(user_ns.get("PAPERMILL_INPUT_PATH") or ""), "papermill"),
    )
    for path, source in told:
        if path:
            return NotebookName(tidy(Path(path).stem), source, path)
    found = by_cells(executed_cells(user_ns), cwd)
    if found is not None:
        return NotebookName(tidy(found.stem), "the cells", str(found))
    script = user_ns.get("__file__")
    if isinstance(script, str) and "get_ipython" not in user_ns:
        return NotebookName(tidy(Path(script).stem), "the script", script)
    return NotebookName(DEFAULT, "default")


def tidy(name: str) -> str:
    """The name as it can stand in an entity's name, e.g. `my_notebook` for `my notebook.v2`."""
    return _FOREIGN.sub("_", name.strip()).strip("_") or DEFAULT


def renamed(known: NotebookName, user_ns: "Mapping[str, Any]", *, cwd: Path) -> "str | None":
    """The notebook's new name, when its file was renamed while the kernel ran; else `None`."""
    if known.source not in ("JupyterLab", "VS Code", "the cells") or not known.path:
        return None
    file = Path(known.path)
    if not file.is_absolute():
        file = cwd / file.name  # JPY_SESSION_NAME may be relative to the server's root
    if file.exists():
        return None
    found = by_cells(executed_cells(user_ns), cwd)
    return tidy(found.stem) if found is not None and tidy(found.stem) != known.name else None


def executed_cells(
    user_ns: "Mapping[str, Any]", lines: "Mapping[str, Any] | None" = None
) -> "list[str]":
    """Sources of the cells that ran in this kernel, in order, as far as somebody kept them.

    Args:
        user_ns: Has IPython's input history, except under nbval, which runs cells without one.
        lines: What tracebacks are drawn from (`linecache.cache`), where IPython puts each cell; its
            magics are calls there.
    """
    cells = []
    number = 1
    while isinstance(user_ns.get(f"_i{number}"), str):
        cells.append(user_ns[f"_i{number}"])
        number += 1
    if not cells and isinstance(user_ns.get("In"), list):
        cells = [cell for cell in user_ns["In"] if isinstance(cell, str) and cell]
    if not cells:
        known = linecache.cache if lines is None else lines
        cells = [
            "".join(entry[2])
            for name, entry in list(known.items())
            if _CELL_FILE.search(name) and len(entry) > 2
        ]
    return [cell.strip() for cell in cells if cell.strip()]


def by_cells(executed: "Sequence[str]", folder: Path) -> "Path | None":
    """The notebook in `folder` that has the most of the executed cells; `None` when none has any.

    Of copies that fit equally well the first by name is taken, so that the answer stays the same.
    """
    if not executed:
        return None
    wanted = set(executed)
    best: tuple[tuple[int, bool], Path] | None = None
    for path in sorted(_notebooks(folder)):
        sources = cell_sources(path)
        sources += [_without_magics(source) for source in sources]
        fits = len(wanted.intersection(sources))
        score = (fits, executed[-1] in sources)
        if fits and (best is None or score > best[0]):
            best = (score, path)
    return best[1] if best is not None else None


def cell_sources(path: Path) -> "list[str]":
    """Sources of the code cells of a notebook file; empty when it is not one."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return []
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = document["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    texts = ["".join(source) if isinstance(source, list) else str(source) for source in sources]
    return [text.strip() for text in texts if text.strip()]


def _without_magics(source: str) -> str:
    """The cell as IPython compiles it; as it is where there is no IPython or no magic."""
    ipython = sys.modules.get("IPython.core.inputtransformer2")
    if ipython is None or not _MAGIC.search(source):
        return source
    try:
        return str(ipython.TransformerManager().transform_cell(source)).strip()
    except SyntaxError:
        return source


def _notebooks(folder: Path) -> "Iterable[Path]":
    try:
        return [path for path in folder.glob("*.ipynb") if path.is_file()]
    except OSError:
        return []


def _notebook_path(session: str) -> str:
    """Consoles have session names too; only a notebook's ends in `.ipynb`."""
    return session if session.endswith(".ipynb") else ""
