"""`%load_ext flyte_nb`: install magics, formatters, completion and error display in a shell."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.notebook.kernel import failures
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import SessionPort
from flyte_nb.notebook.shell import completer, displayhook, formatters, magics

if TYPE_CHECKING:
    from flyte_nb.types.codec import Codec

_KEY = "_flyte_nb"
"""The attribute of the shell that holds the extension, so that loading twice replaces it."""


class Extension:
    """Everything that was installed in one shell."""

    def __init__(self, shell: Any, connect: "Callable[..., SessionPort]") -> None:
        """Install everything; see `load` for the arguments."""
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
        """Remove everything from the shell, and close live views."""
        self._shell.events.unregister("pre_run_cell", self._cell_begins)
        self._shell.events.unregister("post_run_cell", self._cell_ended)
        for undo in reversed(self._undo):
            undo()
        self.kernel.close()

    def ask_at_gate(
        self,
        *,
        name: str,
        workflow: str,
        approved: object,
        codec: "Codec | None",
        send: "Callable[[object], None]",
        call: str,
    ) -> "Callable[[], None] | None":
        """Ask for the answer to a gate of a local run; see `live.gate_forms.ask_here`.

        Returns:
            What takes the question away; `None` when nobody can be asked.
        """
        # A runner of notebooks (nbclient, papermill, nbval) allows no questions on stdin, and front ends do.
        # So this flag tells them apart, though nothing is ever asked there.
        if not getattr(getattr(self._shell, "kernel", None), "_allow_stdin", False):
            return None
        try:
            # ipywidgets is optional: where it is missing nobody can be asked.
            from flyte_nb.notebook.live.gate_forms import ask_here
        except UsageError:
            return None
        return ask_here(
            self._shell,
            name=name,
            workflow=workflow,
            approved=approved,
            codec=codec,
            send=send,
            call=call,
        )

    def _cell_begins(self, info: Any) -> None:
        """Remember the cell that IPython is about to run."""
        if not info.raw_cell or info.silent:
            return
        self.kernel.cells.forget(_deleted_cells(self._shell))
        # Not the shell's own counter: in some releases of IPython it was increased already, in others not.
        self._begin(info.raw_cell, info.cell_id, number=_inputs_so_far(self._shell))

    def _cell_ended(self, result: Any) -> None:
        """Correct the cell's number, which IPython now knows for certain, and draw again what it changed."""
        if result.execution_count is not None:
            self.kernel.cells.renumber(result.execution_count)
        cell = self.kernel.cells.current
        self.kernel.redraws.after(cell.label if cell is not None else "")

    def _note_running_cell(self) -> None:
        """Remember the cell that loads the extension: it may define things too, and its event has passed."""
        history = self._shell.history_manager.input_hist_raw
        if len(history) > 1:
            raw = _running_source(self._shell) or history[-1]
            self._begin(raw, _running_cell_id(self._shell), number=len(history) - 1)

    def _begin(self, raw: str, cell_id: "str | None", *, number: int) -> None:
        # Magics become Python, as IPython does it: the file name is made of the transformed text.
        try:
            source = self._shell.transform_cell(raw)
        except SyntaxError:
            source = raw
        filename = self._shell.compile.get_code_name(raw, source, number)
        if cell_id:
            self.kernel.redraws.forget(cell_id)
        self.kernel.cells.begin(cell_id=cell_id, number=number, filename=filename, source=source)


def _inputs_so_far(shell: Any) -> int:
    """Return the number of the prompt whose cell is about to run. The history begins with an empty entry."""
    return len(shell.history_manager.input_hist_raw)


def _request(shell: Any, part: str) -> "dict[str, Any]":
    """Return a part of the execute request; empty outside of a kernel, where there is no request."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    found = parent.get(part) if isinstance(parent, dict) else None
    return found if isinstance(found, dict) else {}


def _metadata(shell: Any) -> "dict[str, Any]":
    return _request(shell, "metadata")


def _running_source(shell: Any) -> str:
    """Return the cell's text as it was sent: the history drops newlines at its end, the name counts them."""
    code = _request(shell, "content").get("code")
    return code if isinstance(code, str) else ""


def _deleted_cells(shell: Any) -> "list[str]":
    """Return ids of cells deleted since the last request, which JupyterLab and Notebook send along."""
    deleted = _metadata(shell).get("deletedCells")
    return [cell for cell in deleted if isinstance(cell, str)] if isinstance(deleted, list) else []


def _running_cell_id(shell: Any) -> "str | None":
    cell_id = _metadata(shell).get("cellId")
    return cell_id if isinstance(cell_id, str) else None


def load(ip: Any, connect: "Callable[..., SessionPort]") -> Extension:
    """Install the extension in an IPython shell; an earlier one is removed first.

    Args:
        ip: The shell.
        connect: Without arguments, returns the present session, connecting if there is none; with the
            options of `%flyte connect`, connects anew.
    """
    unload(ip)
    extension = Extension(ip, connect)
    setattr(ip, _KEY, extension)
    return extension


def unload(ip: Any) -> None:
    """Remove what `load` installed; do nothing if it did not."""
    extension = getattr(ip, _KEY, None)
    if isinstance(extension, Extension):
        extension.unload()
        delattr(ip, _KEY)
