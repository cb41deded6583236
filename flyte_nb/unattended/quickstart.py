"""`flyte-nb quickstart`: the shipped notebook, copied to a folder of the person's, opened or executed."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.folders import working_folder
from flyte_nb.unattended import headless

NAME = "quickstart"
FOLDER = "flyte-nb-quickstart"


def shipped(name: str = NAME) -> Path:
    """The notebook as it was shipped: package data of a wheel, or the checkout's file.

    Raises:
        UsageError: this installation has none.
    """
    package = Path(str(resources.files("flyte_nb")))
    for folder in (package / "_notebooks", package.parent / "notebooks"):
        file = folder / f"{name}.ipynb"
        if file.is_file():
            return file
    raise UsageError(f"This installation has no {name} notebook. Install flyte-nb anew.")


def copied(folder: "Path | None") -> Path:
    """The person's own copy; one that is there already, perhaps edited, is left as it is."""
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
    """Open the notebook in JupyterLab; return when JupyterLab is ended.

    Raises:
        UsageError: JupyterLab is not installed, or the notebook cannot be copied.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not installed. Run: pip install 'flyte-nb[quickstart]'")
    notebook = copied(folder)
    command = [sys.executable, "-m", "jupyter", "lab", str(notebook)]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # who is root already has decided so
    return subprocess.run(command, check=False).returncode


def execute_headless(folder: "Path | None" = None, *, say: "Callable[[str], object]") -> int:
    """Execute the shipped notebook, a line for each step; then what its last cell shows.

    The executed notebook is kept in the folder. Returns 0, or 1 when a cell failed.

    Raises:
        UsageError: nbclient is not installed, or the folder cannot be written.
    """
    place = folder or Path(working_folder()) / FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be made: {error.strerror}. Name another place with --folder."
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
    said = f"  {step.said}" if step.said else ""
    return f"[{step.number:>2}/{step.total}] {step.title:<36.36} {step.seconds:6.1f} s{said}"


def _results(notebook: Any) -> "list[str]":
    """What the cells tagged `results` show; without such cells, the last two values."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "results" in cell.metadata.get("tags", ())]
    if tagged:
        return [text for cell in tagged for text in headless.texts(cell)]
    values = [text for cell in code for text in headless.texts(cell, kinds=("execute_result",))]
    return values[-2:] or ["(the notebook shows no text)"]
