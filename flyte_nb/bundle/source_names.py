"""Give the author's sources stable names, and collect the lines that remote tracebacks will show.

A kernel compiles a cell under a file name that contains its process id, which differs in each kernel. In a
payload the cell is named by the digest of its text. The lines of the functions that travel are put into
the payload, because the worker has no such file.
"""

import hashlib
import linecache
import os
import sys
from types import CodeType
from typing import Any


class Sources:
    """The sources of one payload: stable file names, and the lines of each function.

    Args:
        names: stable names found so far; the payloads of one packing share them.
    """

    def __init__(self, names: "dict[str, str]") -> None:
        self._names = names
        self._pieces: dict[str, set[tuple[int, str]]] = {}

    def stable_name(self, filename: str) -> str:
        """Return the name under which `filename` appears in the payload and in remote tracebacks."""
        name = self._names.get(filename)
        if name is None:
            name = self._names[filename] = stable_name(filename)
        return name

    def add(self, code: CodeType) -> None:
        """Add the lines of `code`, a function's outermost code."""
        lines = linecache.getlines(code.co_filename)
        first, last = code.co_firstlineno, _last_line(code)
        text = "".join(lines[first - 1 : last])
        if text:
            self._pieces.setdefault(self.stable_name(code.co_filename), set()).add((first, text))

    def __reduce__(self) -> "tuple[Any, ...]":
        # Pickle calls this after the task was pickled, when every function was added: `dump` pickles the
        # pair `(task, sources)`.
        pieces = {name: tuple(sorted(self._pieces[name])) for name in sorted(self._pieces)}
        return dict, (list(pieces.items()),)


def stable_name(filename: str) -> str:
    """Return `<cell 5f3a91c0>` for a cell, and the file name without its folder for a file."""
    lines = linecache.getlines(filename)
    if lines and (not os.path.isfile(filename) or "ipykernel_" in filename):
        return cell_name("".join(lines))
    if filename.startswith("<"):
        return filename if filename == "<string>" else "<cell>"
    return os.path.basename(filename)


def cell_name(source: str) -> str:
    """Return the name of the cell with this text in remote tracebacks, by which a front end finds it."""
    return f"<cell {hashlib.sha256(source.encode()).hexdigest()[:8]}>"


def spoken_place(filename: str, line: int) -> str:
    """Return a place as the author knows it: `Cell In[3], line 2`, or `train.py, line 2`."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    format_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    spoken = format_name(filename) if format_name is not None else None
    if spoken is not None:
        return f"{spoken[0]} {spoken[1]}, line {line}"
    return f"{os.path.basename(filename)}, line {line}"


def _last_line(code: CodeType) -> int:
    last = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    nested = [_last_line(const) for const in code.co_consts if isinstance(const, CodeType)]
    return max([last, *nested])
