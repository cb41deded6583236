"""Find the notebook file that the cells of this kernel come from, where nothing else names it."""

import json
import linecache
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = re.compile(r"^\s*[%!?]|\?\s*$|=\s*[%!]", re.MULTILINE)
_CELL_FILE = re.compile(r"[/\\\\]ipykernel_\d+[/\\\\]|^<ipython-input-")
_PARAMETERS = re.compile(r"# Parameters\b")
"""How the cell begins that papermill adds."""

_LARGEST_BYTES = 64 << 20  # a larger .ipynb is full of pictures, and takes long to read
_DEEPEST = 2  # folders below the working directory in which papermill's outputs are looked for
_MOST_FILES = 500
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__"})


class CellFile(NamedTuple):
    """A notebook file, as far as it is needed to recognize it."""

    path: Path
    sources: "tuple[str, ...]" = ()
    """Of its code cells, without those that are empty."""
    papermill: "Mapping[str, Any] | None" = None
    """What papermill noted in it, when papermill wrote it."""

    @property
    def original(self) -> str:
        """The path or URL of the notebook that this file is an executed copy of; its own when it is none."""
        written_from = str((self.papermill or {}).get("input_path") or "")
        if written_from:
            return written_from
        name = self.path.name
        if name.endswith(".nbconvert.ipynb"):  # nbconvert names its output so
            return str(self.path.with_name(name.removesuffix(".nbconvert.ipynb") + ".ipynb"))
        return str(self.path)

    @property
    def is_being_written(self) -> bool:
        """Whether papermill has begun to execute it and not ended."""
        noted = self.papermill or {}
        return bool(noted.get("start_time")) and not noted.get("end_time")

    def has_all(self, executed: "Sequence[str]") -> bool:
        """Return whether every cell that ran is in the file, apart from papermill's parameters."""
        known = {*self.sources, *map(_without_magics, self.sources)}
        own = [cell for cell in executed if cell in known or not _PARAMETERS.match(cell)]
        return bool(own) and known.issuperset(own)


def executed_cells(
    user_ns: "Mapping[str, Any]", lines: "Mapping[str, Any] | None" = None
) -> "list[str]":
    """Return the sources of the cells that ran in this kernel, in order, as far as they were kept.

    Args:
        user_ns: The notebook's variables, with IPython's input history. nbval runs cells without one.
        lines: The lines that tracebacks show (`linecache.cache`). IPython puts each cell there, with
            its magics turned into calls.
    """
    # `_i1`, `_i2`, … have the cells as they were written; `In` is what is left when they were deleted.
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


def fitting(executed: "Sequence[str]", folder: Path) -> "list[CellFile]":
    """Return the notebooks in `folder` that have every cell that ran, sorted by path."""
    return [file for file in map(read, _notebooks(folder)) if file.has_all(executed)]


def being_written(executed: "Sequence[str]", folder: Path, since: float) -> "list[CellFile]":
    """Return the notebooks in and below `folder` that papermill executes now and that fit.

    Args:
        executed: The cells that ran.
        folder: Where to look.
        since: When this kernel started; a file that was written before is from another run.
    """
    recent = (path for path in _below(folder) if _written(path) >= since)
    found = [file for file in map(read, recent) if file.is_being_written]
    return [file for file in found if file.has_all(executed)]


def most_alike(executed: "Sequence[str]", folder: Path) -> "Path | None":
    """Return the one notebook in `folder` with the most of the cells that ran.

    The answer is a guess for a hint: cells may have been edited since. It is `None` when no
    notebook has half of them, or when two have equally many.
    """
    wanted = set(executed)
    scores = []
    for file in map(read, _notebooks(folder)):
        has = len(wanted.intersection({*file.sources, *map(_without_magics, file.sources)}))
        scores.append((has, file.path))
    scores.sort(reverse=True)
    # Half of the cells, and more than any other file: otherwise a hint would mislead.
    if not scores or scores[0][0] * 2 < max(1, len(wanted)):
        return None
    if len(scores) > 1 and scores[1][0] == scores[0][0]:
        return None
    return scores[0][1]


def read(path: Path) -> CellFile:
    """Return what is in a notebook file; a `CellFile` without cells when it is no notebook."""
    try:
        found = path.stat()
    except OSError:
        return CellFile(path)
    return _parsed(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _parsed(path: Path, modified_ns: int, size: int) -> CellFile:
    if size > _LARGEST_BYTES:
        return CellFile(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sources = [cell["source"] for cell in document["cells"] if cell["cell_type"] == "code"]
        noted = document.get("metadata", {}).get("papermill")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return CellFile(path)
    texts = ["".join(source) if isinstance(source, list) else str(source) for source in sources]
    kept = tuple(text.strip() for text in texts if text.strip())
    return CellFile(path, kept, noted if isinstance(noted, dict) else None)


@lru_cache(maxsize=4096)
def _without_magics(source: str) -> str:
    """Return the cell as IPython compiles it; as it is where there is no IPython or no magic."""
    ipython = sys.modules.get("IPython.core.inputtransformer2")
    if ipython is None or not _MAGIC.search(source):
        return source
    try:
        return str(ipython.TransformerManager().transform_cell(source)).strip()
    except SyntaxError:
        return source


def _notebooks(folder: Path) -> "list[Path]":
    try:
        return sorted(path for path in folder.glob("*.ipynb") if path.is_file())
    except OSError:
        return []


def _below(folder: Path) -> "Iterable[Path]":
    """Yield notebooks in the folder and a few levels below it, so many at most."""
    left = _MOST_FILES
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        hidden = [name for name in folders if name.startswith(".") or name in _SKIPPED]
        folders[:] = sorted(set(folders).difference(hidden)) if depth < _DEEPEST else []
        for name in sorted(names):
            if name.endswith(".ipynb"):
                yield Path(place, name)
                left -= 1
        if left <= 0:
            return


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
