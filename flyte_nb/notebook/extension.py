"""`%load_ext flyte_nb`: puts the notebook's parts together, and takes them apart again."""

from collections.abc import Callable
from typing import Any

from flyte_nb.notebook import completer, failures, formatters, magics
from flyte_nb.notebook.kernel import Kernel
from flyte_nb.notebook.ports import SessionPort

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
        ]
        shell.events.register("pre_run_cell", self._cell_begins)
        self._note_running_cell()

    def unload(self) -> None:
        """Take everything away again."""
        self._shell.events.unregister("pre_run_cell", self._cell_begins)
        for undo in reversed(self._undo):
            undo()
        self.kernel.close()

    def _cell_begins(self, info: Any) -> None:
        """IPython runs a cell; remember which."""
        if not info.raw_cell or info.silent:
            return
        shell = self._shell
        self.kernel.cells.forget(_deleted_cells(shell))
        try:
            transformed = shell.transform_cell(info.raw_cell)
        except SyntaxError:
            transformed = info.raw_cell
        count = shell.execution_count
        filename = shell.compile.get_code_name(info.raw_cell, transformed, count)
        self.kernel.cells.begin(
            cell_id=info.cell_id, number=count, filename=filename, source=transformed
        )

    def _note_running_cell(self) -> None:
        """The cell that loads the extension may define things below; its event has passed."""
        history = getattr(self._shell, "user_ns", {}).get("In") or [""]
        raw = history[-1]
        if not raw:
            return
        count = self._shell.execution_count
        transformed = self._shell.transform_cell(raw)
        filename = self._shell.compile.get_code_name(raw, transformed, count)
        cell_id = _running_cell_id(self._shell)
        self.kernel.cells.begin(
            cell_id=cell_id, number=count, filename=filename, source=transformed
        )


def _metadata(shell: Any) -> "dict[str, Any]":
    """The metadata of the execute request; only kernels have one."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    return metadata if isinstance(metadata, dict) else {}


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
        connect: Makes a session; called without arguments when one is first needed, and with the
            options of `%flyte connect`.
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
