"""Copy the shipped quickstart notebook to a person's folder, and open it in JupyterLab or execute it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError
from flyte_nb.api.folders import working_folder
from flyte_nb.unattended import headless

if TYPE_CHECKING:  # nbformat is optional: only `[quickstart]` installs it
    from nbformat import NotebookNode

NAME = "quickstart"
FOLDER = "flyte-nb-quickstart"


def shipped(name: str = NAME) -> Path:
    """Return the path of the shipped notebook: package data of a wheel, or the checkout's file.

    Raises:
        UsageError: this installation does not have the notebook.
    """
    package = Path(str(resources.files("flyte_nb")))
    for folder in (package / "_notebooks", package.parent / "notebooks"):
        file = folder / f"{name}.ipynb"
        if file.is_file():
            return file
    raise UsageError(f"This installation has no {name} notebook. Install flyte-nb again.")


def copied(folder: "Path | None") -> Path:
    """Copy the notebook to `folder` unless a copy is there, perhaps edited; return the copy's path.

    Raises:
        UsageError: the folder cannot be written to, or this installation does not have the notebook.
    """
    target = (folder or Path(working_folder()) / FOLDER) / f"{NAME}.ipynb"
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shipped(), target)
        except OSError as error:
            raise UsageError(
                f"The notebook cannot be copied to {target.parent}: {error.strerror}."
                " Name another place with --folder."
            ) from error
    return target


def open_in_lab(folder: "Path | None" = None) -> int:
    """Open the notebook in JupyterLab; return JupyterLab's exit code when it has ended.

    Raises:
        UsageError: JupyterLab is not installed, or the notebook cannot be copied.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not installed. Run: pip install 'flyte-nb[quickstart]'")
    notebook = copied(folder)
    command = [sys.executable, "-m", "jupyter", "lab", str(notebook)]
    # JupyterLab refuses to run as root unless it is told to. In a container there is often only root.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return subprocess.run(command, check=False).returncode


def execute_headless(folder: "Path | None" = None, *, say: "Callable[[str], object]") -> int:
    """Execute the shipped notebook, and keep the executed notebook in the folder; return the exit code.

    Args:
        folder: Where the executed notebook is kept; default: `flyte-nb-quickstart` below the working
            directory.
        say: Called with each line for the person: one for each step, then the results.

    Returns:
        0, or 1 when a cell failed.

    Raises:
        UsageError: nbclient is not installed, or the folder cannot be written to.
    """
    place = folder or Path(working_folder()) / FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be created: {error.strerror}. Name another place with --folder."
        ) from error
    outcome = headless.execute(
        headless.read(shipped()),
        folder=place,
        name=NAME,
        on_step=lambda step: say(_line(step)),
    )
    kept = place / f"{NAME}-executed.ipynb"
    headless.write(outcome.notebook, kept)
    if outcome.error:
        say(f"\nFailed:\n{outcome.error}\nThe executed notebook: {kept}")
        return 1
    say("\nResults:")
    for text in _results(outcome.notebook):
        say(text)
    say(f"\nThe executed notebook: {kept}")
    return 0


def _line(step: headless.Step) -> str:
    text = f"  {step.text}" if step.text else ""
    return f"[{step.number:>2}/{step.total}] {step.title:<36.36} {step.seconds:6.1f} s{text}"


def _results(notebook: "NotebookNode") -> "list[str]":
    """Return the texts of the cells tagged `results`; without such cells, the last two values."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "results" in cell.metadata.get("tags", ())]
    if tagged:
        return [text for cell in tagged for text in headless.texts(cell)]
    values = [text for cell in code for text in headless.texts(cell, kinds=("execute_result",))]
    return values[-2:] or ["(the notebook shows no text)"]
