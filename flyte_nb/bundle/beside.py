"""Files that a module finds by its own place, as in `Path(__file__).parent / "words.txt"`.

All files of a package travel with it. What lies beside a module of one file, or beside a package, is
rather the notebook's; of that travels what the source names: a file, a folder, or a pattern of files.
"""

import ast
import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from flyte_nb.bundle.trees import File, Tree, walk

MOST_BYTES = 16 << 20
MOST_FILES = 5_000
"""A folder with more is taken for data, which does not travel."""

_LONGEST = 200
_WILD = re.compile(r"[*?\[]")
_ABOVE = re.compile(rb"parent\s*\.\s*parent|parents\s*\[|dirname\([^)]*dirname|pardir|['\"]\.\.")
"""How a module of a package says that it means a folder above its own."""


class Beside:
    """What sources name of one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.files: dict[str, File] = {}
        """By their paths below the folder."""
        self.trees: list[Tree] = []
        """Folders among them, as they were when they were walked."""
        self.left_out: list[str] = []
        """Folders that are too large."""

    def look(self, source: bytes, stem: str, *, in_package: bool) -> None:
        """Add what the source names.

        Args:
            source: of a module that lies in the folder, or in a package in it.
            stem: the name of the module's file without its ending.
            in_package: whether it is one of a package.
        """
        if b"__file__" not in source or (in_package and not _ABOVE.search(source)):
            return
        for text in _texts(source):
            for name in self._meant(text, stem):
                self._add(name)

    def _meant(self, text: str, stem: str) -> "list[str]":
        name = os.path.normpath(text) if text else ""
        if not name or len(text) > _LONGEST or "\0" in text or os.path.isabs(name):
            return []
        if name.startswith("."):  # `with_suffix(".json")`, or a hidden file or a folder above
            return [] if os.sep in name or name == "." else [f"{stem}{name}"]
        if not _WILD.search(name):
            return [name]
        if not re.search(r"\w", name):  # a star alone says nothing
            return []
        return sorted(glob.glob(name, root_dir=self._folder, recursive="**" in name))

    def _add(self, name: str) -> None:
        path = os.path.join(self._folder, name)
        if any(part.startswith(".") for part in name.split(os.sep)) or _is_no_data(name):
            return
        if os.path.isfile(path):
            self.files.setdefault(name, File(name, path, os.stat(path).st_size))
        elif os.path.isdir(path):
            if not _is_small(path):
                self.left_out.append(f"{name}/")
                return
            tree = walk(name, path)
            self.trees.append(tree)
            for file in tree.files:
                self.files.setdefault(file.name, file)


def _is_small(path: str) -> bool:
    """Whether a folder is no larger than what may travel; of a large one not everything is looked at."""
    count = size = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # a link that leads nowhere
                size += os.stat(os.path.join(parent, name)).st_size
            count += 1
            if count > MOST_FILES or size > MOST_BYTES:
                return False
    return True


def _is_no_data(name: str) -> bool:
    return name.endswith((".ipynb", ".pyc"))


def _texts(source: bytes) -> "Iterator[str]":
    """The constants of text, and texts with gaps as patterns; nothing of a source that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values
            )
