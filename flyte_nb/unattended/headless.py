"""Read a notebook, execute it by nbclient without a browser, and take the text that its cells show."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.discovery.names import VARIABLE

if TYPE_CHECKING:  # nbformat is optional: only `[quickstart]` installs it
    from nbformat import NotebookNode

_CELL_TIMEOUT_S = 900
_LINE_WIDTH = 72  # characters of a step's text: the rest of a terminal's line is its title
_SHOWN = ("stream", "execute_result", "display_data")
"""The kinds of output that a cell can show, as nbformat names them."""


class Step(NamedTuple):
    """One code cell that was executed."""

    number: int
    """Counted from 1."""
    total: int
    title: str
    seconds: float
    text: str
    """The first line of the last text that it shows, cut to a terminal's width; empty without text."""


class Outcome(NamedTuple):
    """How a run of a notebook ended."""

    notebook: "NotebookNode"
    """The notebook with the outputs of the cells that were executed."""
    error: str
    """The failing cell's error with its traceback; empty when no cell failed."""


def read(path: Path) -> "NotebookNode":
    """Return the notebook in the file at `path`, as nbformat's version 4.

    Raises:
        UsageError: there is no such file, it is not a notebook, or nbformat is not installed.
    """
    nbformat = _module("nbformat")
    if not path.is_file():
        raise UsageError(f"There is no notebook {path}.")
    try:
        found: NotebookNode = nbformat.read(str(path), as_version=4)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # nbformat lets any error of its parsers through
        raise UsageError(f"{path} is not a notebook: {error}") from error
    if not isinstance(found.get("cells"), list):
        raise UsageError(f"{path} is not a notebook: it has no list of cells.")
    return found


def execute(
    notebook: "NotebookNode",
    *,
    folder: Path,
    name: str,
    extra: "Sequence[str]" = (),
    on_step: "Callable[[Step], object]" = lambda step: None,
) -> Outcome:
    """Execute every cell in a new kernel; stop at the first that raises.

    Args:
        notebook: The notebook, as `read` returns it. Outputs are written into it.
        folder: The kernel's working directory.
        name: The notebook's name; its entities are named after it.
        extra: Sources of cells to execute after the notebook's own.
        on_step: Called for each code cell when it has ended.

    Raises:
        UsageError: nbclient is not installed.
    """
    nbclient = _module("nbclient")
    nbformat = _module("nbformat")
    for source in extra:
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    steps = _Steps(notebook, on_step)
    client = nbclient.NotebookClient(
        notebook,
        timeout=_CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        on_cell_start=steps.begin,
        on_cell_executed=steps.end,
    )
    # ipykernel's debugger warns about frozen modules at every start, unless this variable is set.
    env = {**os.environ, VARIABLE: name, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with tempfile.TemporaryFile() as log:  # the kernel's stderr matters only when the kernel dies
        try:
            client.execute(env=env, stderr=log)
        except nbclient.exceptions.CellExecutionError as error:
            return Outcome(notebook, str(error))
        except nbclient.exceptions.CellTimeoutError as error:
            return Outcome(notebook, f"A cell took longer than {_CELL_TIMEOUT_S} s: {error}")
        except nbclient.exceptions.DeadKernelError:
            log.seek(0)
            return Outcome(notebook, f"The kernel died. {log.read().decode('utf-8', 'replace')}")
    return Outcome(notebook, "")


class _Steps:
    """Times the cells of a run, and reports each code cell that has a title."""

    def __init__(self, notebook: "NotebookNode", report: "Callable[[Step], object]") -> None:
        self._titles = _titles(notebook)
        self._order = sorted(self._titles)
        self._report = report
        self._started_s = 0.0

    def begin(self, cell: "NotebookNode", cell_index: int) -> None:
        """Note the time; nbclient calls it before each cell, and names the arguments."""
        self._started_s = time.monotonic()

    def end(self, cell: "NotebookNode", cell_index: int, execute_reply: object) -> None:
        """Report the cell; nbclient calls it after each cell, and names the arguments."""
        title = self._titles.get(cell_index)
        if title is None:
            return
        last = texts(cell)[-1:]
        step = Step(
            number=self._order.index(cell_index) + 1,
            total=len(self._order),
            title=title,
            seconds=time.monotonic() - self._started_s,
            text=last[0].splitlines()[0].strip()[:_LINE_WIDTH] if last else "",
        )
        self._report(step)


def texts(cell: "NotebookNode", *, kinds: "Sequence[str]" = _SHOWN) -> "list[str]":
    """Return the texts that a cell shows: all that it printed as one, then each value.

    Args:
        cell: An executed code cell.
        kinds: The kinds of output to look at.
    """
    found: list[str] = []
    shown = (output for output in cell.get("outputs", ()) if output.output_type in kinds)
    for name, outputs in groupby(shown, key=lambda output: output.get("name", "")):
        if name == "stdout":  # a kernel sends printed text in parts, cut anywhere
            found.append("".join(output.text for output in outputs))
        elif not name:  # a value; stderr is not shown
            values = (output.data.get("text/plain", "") for output in outputs)
            # A plot's text is only `<Figure size …>`.
            found += [value for value in values if not value.startswith("<Figure")]
    return [text.rstrip() for text in found if text.strip()]


def _titles(notebook: "NotebookNode") -> "dict[int, str]":
    """Return a title for each code cell by its index: the heading above it, else its first line."""
    titles = {}
    heading = ""
    for index, cell in enumerate(notebook.cells):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
            heading = headings[-1] if headings else heading
        elif cell.cell_type == "code" and lines:
            # A decorator names no cell; the line below it does.
            plain = [line for line in lines if not line.startswith("@")] or lines
            titles[index] = heading or plain[0].lstrip("# ").strip()
            heading = ""
    return titles


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"Executing a notebook needs {name}. Run: pip install 'flyte-nb[quickstart]'"
        ) from error


def write(notebook: "NotebookNode", path: Path) -> None:
    """Write the notebook to a file.

    Raises:
        UsageError: the file cannot be written, or nbformat is not installed.
    """
    try:
        _module("nbformat").write(notebook, str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
