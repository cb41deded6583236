"""`%load_ext flyte_nb`: puts the notebook's parts together, and takes them apart again."""

from collections.abc import Callable
from typing import Any

from flyte_nb.notebook.kernel import failures
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import SessionPort
from flyte_nb.notebook.shell import completer, displayhook, formatters, magics

_KEY = "_flyte_nb"
"""The shell's attribute that holds what was loaded, so that loading twice replaces it."""


class Extension:
    """What one shell got from us."""

    def __init__(self, shell: Any, connect: "Callable[..., SessionPort]") -> None:
        self.kernel = Kernel(shell, connect)
        self._shell = shell
        self._undo = [
            failures.install(shell, self.kernel.cells),
            magics.register(self.kernel),
            completer.register(self.kernel),
            formatters.register(self.kernel),
            displayhook.install(self.kernel),
        ]
        shell.events.register("pre_run_cell", self._cell_begins)
        shell.events.register("post_run_cell", self._cell_ended)
        self._note_running_cell()

    def unload(self) -> None:
        """Take everything away again."""
        self._shell.events.unregister("pre_run_cell", self._cell_begins)
        self._shell.events.unregister("post_run_cell", self._cell_ended)
        for undo in reversed(self._undo):
            undo()
        self.kernel.close()

    def _cell_begins(self, info: Any) -> None:
        """IPython runs a cell; remember which."""
        if not info.raw_cell or info.silent:
            return
        self.kernel.cells.forget(_deleted_cells(self._shell))
        # The shell's own counter has moved on already, or not, as IPython's release has it.
        self._begin(info.raw_cell, info.cell_id, number=_inputs_so_far(self._shell))

    def _cell_ended(self, result: Any) -> None:
        """IPython knows the prompt's number for certain now; what the cell changed is drawn again."""
        if result.execution_count is not None:
            self.kernel.cells.renumber(result.execution_count)
        cell = self.kernel.cells.current
        self.kernel.redraws.after(cell.label if cell is not None else "")

    def _note_running_cell(self) -> None:
        """The cell that loads the extension may define things below; its event has passed."""
        history = self._shell.history_manager.input_hist_raw
        if len(history) > 1:
            raw = _running_source(self._shell) or history[-1]
            self._begin(raw, _running_cell_id(self._shell), number=len(history) - 1)

    def _begin(self, raw: str, cell_id: "str | None", *, number: int) -> None:
        try:
            source = self._shell.transform_cell(raw)
        except SyntaxError:
            source = raw
        filename = self._shell.compile.get_code_name(raw, source, number)
        if cell_id:
            self.kernel.redraws.forget(cell_id)
        self.kernel.cells.begin(cell_id=cell_id, number=number, filename=filename, source=source)


def _inputs_so_far(shell: Any) -> int:
    """The number of the prompt whose cell is about to run: the history has an empty entry first."""
    return len(shell.history_manager.input_hist_raw)


def _request(shell: Any, part: str) -> "dict[str, Any]":
    """A part of the execute request; only kernels have one."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    found = parent.get(part) if isinstance(parent, dict) else None
    return found if isinstance(found, dict) else {}


def _metadata(shell: Any) -> "dict[str, Any]":
    return _request(shell, "metadata")


def _running_source(shell: Any) -> str:
    """The cell's text as it was sent: the history drops newlines at its end, the file name counts them."""
    code = _request(shell, "content").get("code")
    return code if isinstance(code, str) else ""


def _deleted_cells(shell: Any) -> "list[str]":
    """Cells that were deleted since the last request, as JupyterLab and Notebook tell."""
    deleted = _metadata(shell).get("deletedCells")
    return [cell for cell in deleted if isinstance(cell, str)] if isinstance(deleted, list) else []


def _running_cell_id(shell: Any) -> "str | None":
    cell_id = _metadata(shell).get("cellId")
    return cell_id if isinstance(cell_id, str) else None


def load(ip: Any, connect: "Callable[..., SessionPort]") -> Extension:
    """Add magics, formatters and completion to an IPython shell.

    Args:
        ip: The shell.
        connect: Without arguments, gives the session that holds now (and connects when there is
            none); with the options of `%flyte connect`, connects anew.
    """
    unload(ip)
    extension = Extension(ip, connect)
    setattr(ip, _KEY, extension)
    return extension


def unload(ip: Any) -> None:
    """Take away what `load` added, if it was."""
    extension = getattr(ip, _KEY, None)
    if isinstance(extension, Extension):
        extension.unload()
        delattr(ip, _KEY)
