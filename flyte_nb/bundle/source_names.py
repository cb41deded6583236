"""Stable names for the author's sources, and the lines that tracebacks will show.

A kernel compiles a cell under a name that has its process id in it. In a payload the cell is named
by the digest of its text, and the lines of the functions that travel go along.
"""

import hashlib
import linecache
import os
import sys
from types import CodeType
from typing import Any


class Sources:
    """The sources of one payload: stable file names, and the lines of each piece.

    `names` keeps the file names for the next payload of the same packing.
    """

    def __init__(self, names: "dict[str, str]") -> None:
        self._names = names
        self._pieces: dict[str, set[tuple[int, str]]] = {}

    def stable_name(self, filename: str) -> str:
        """The name under which `filename` appears in the payload and in remote tracebacks."""
        name = self._names.get(filename)
        if name is None:
            name = self._names[filename] = stable_name(filename)
        return name

    def add(self, code: CodeType) -> None:
        """Take along the lines of `code`, a function's outermost code."""
        lines = linecache.getlines(code.co_filename)
        first, last = code.co_firstlineno, _last_line(code)
        text = "".join(lines[first - 1 : last])
        if text:
            self._pieces.setdefault(self.stable_name(code.co_filename), set()).add((first, text))

    def __reduce__(self) -> "tuple[Any, ...]":
        # Reduced after the task was pickled, when every piece is known.
        pieces = {name: tuple(sorted(self._pieces[name])) for name in sorted(self._pieces)}
        return dict, (list(pieces.items()),)


def stable_name(filename: str) -> str:
    """`<cell 5f3a91c0>` for a cell, the bare file name for a file."""
    lines = linecache.getlines(filename)
    if lines and (not os.path.isfile(filename) or "ipykernel_" in filename):
        return cell_name("".join(lines))
    if filename.startswith("<"):
        return filename if filename == "<string>" else "<cell>"
    return os.path.basename(filename)


def cell_name(source: str) -> str:
    """How remote tracebacks call the cell with this text. A front end can find the cell by it."""
    return f"<cell {hashlib.sha256(source.encode()).hexdigest()[:8]}>"


def spoken_place(filename: str, line: int) -> str:
    """A place as the author knows it: `Cell In[3], line 2`, or `train.py, line 2`."""
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
