"""Notebooks executed without a browser, by nbclient, in the folder they lie in."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.discovery.names import VARIABLE

_CELL_TIMEOUT_S = 900
_SAID_AT_MOST = 72
_SHOWN = ("stream", "execute_result", "display_data")


class Step(NamedTuple):
    """One code cell that was executed."""

    number: int
    """Counted from 1."""
    total: int
    title: str
    seconds: float
    said: str
    """The first line of what it shows, cut to a terminal's width; empty when it shows no text."""


class Outcome(NamedTuple):
    """What came of a run."""

    notebook: Any
    """The executed notebook (nbformat)."""
    error: str
    """Empty, or what the failing cell raised, with its traceback."""


def read(path: Path) -> Any:
    """The notebook in the file at `path`.

    Raises:
        UsageError: there is none, or nbformat is not installed.
    """
    nbformat = _module("nbformat")
    if not path.is_file():
        raise UsageError(f"There is no notebook {path}.")
    try:
        found = nbformat.read(str(path), as_version=4)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # nbformat raises whatever it stumbles over
        raise UsageError(f"{path} is not a notebook: {error}") from error
    if not isinstance(found.get("cells"), list):
        raise UsageError(f"{path} is not a notebook: it has no list of cells.")
    return found


def execute(
    notebook: Any,
    *,
    folder: Path,
    name: str,
    extra: "Sequence[str]" = (),
    on_step: "Callable[[Step], object]" = lambda step: None,
) -> Outcome:
    """Execute every cell in a fresh kernel; stop at the first that raises.

    Args:
        notebook: As `read` gave it; outputs are written into it.
        folder: The kernel's working directory.
        name: The notebook's name, for the names of entities.
        extra: Sources of cells to execute after the notebook's own.
        on_step: Told of each code cell when it has ended.
    """
    nbclient = _module("nbclient")
    nbformat = _module("nbformat")
    for source in extra:
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    titles = _titles(notebook)
    started: dict[int, float] = {}
    order = [index for index, cell in enumerate(notebook.cells) if index in titles]

    def begin(cell: Any, cell_index: int) -> None:
        started[cell_index] = time.monotonic()

    def end(cell: Any, cell_index: int, execute_reply: Any) -> None:
        if cell_index in titles:
            seconds = time.monotonic() - started[cell_index]
            number = order.index(cell_index) + 1
            said = texts(cell)[-1:]
            line = said[0].splitlines()[0].strip()[:_SAID_AT_MOST] if said else ""
            on_step(Step(number, len(order), titles[cell_index], seconds, line))

    client = nbclient.NotebookClient(
        notebook,
        timeout=_CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        on_cell_start=begin,
        on_cell_executed=end,
    )
    env = {**os.environ, VARIABLE: name, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with tempfile.TemporaryFile() as log:  # the kernel's own words, of interest only when it dies
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


def texts(cell: Any, *, kinds: "Sequence[str]" = _SHOWN) -> "list[str]":
    """What a cell shows, as text: its prints and its values, or only outputs of some kinds."""
    found: list[str] = []
    shown = (output for output in cell.get("outputs", ()) if output.output_type in kinds)
    for name, outputs in groupby(shown, key=lambda output: output.get("name", "")):
        if name == "stdout":  # what is printed comes in parts, cut anywhere
            found.append("".join(output.text for output in outputs))
        elif not name:
            values = (output.data.get("text/plain", "") for output in outputs)
            found += [value for value in values if not value.startswith("<Figure")]
    return [text.rstrip() for text in found if text.strip()]


def _titles(notebook: Any) -> "dict[int, str]":
    """By index, a title for each code cell: the heading above it, else its first line."""
    titles = {}
    heading = ""
    for index, cell in enumerate(notebook.cells):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
            heading = headings[-1] if headings else heading
        elif cell.cell_type == "code" and lines:
            plain = [line for line in lines if not line.startswith("@")] or lines
            titles[index] = heading or plain[0].lstrip("# ").strip()
            heading = ""
    return titles


def _module(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"Executing a notebook needs {name}. Run: pip install 'flyte-nb[quickstart]'"
        ) from error


def write(notebook: Any, path: Path) -> None:
    """Write the notebook to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        _module("nbformat").write(notebook, str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
