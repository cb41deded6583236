"""Find the files that a module reads by its own location, as in `Path(__file__).parent / "words.txt"`.

All files of a package travel with the package. Files beside a single-file module, or beside a package,
mostly belong to the notebook. Of those only what the module's source names travels: a file, a folder, or
a pattern of files.
"""

import ast
import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from flyte_nb.bundle.trees import PackageFile, Tree, walk

MOST_BYTES = 16 << 20
MOST_FILES = 5_000
"""A folder with more bytes or files counts as data, which does not travel."""

_LONGEST = 200
_WILD = re.compile(r"[*?\[]")
_ABOVE = re.compile(rb"parent\s*\.\s*parent|parents\s*\[|dirname\([^)]*dirname|pardir|['\"]\.\.")
"""Spellings by which a module of a package reaches a folder above its own."""


class Beside:
    """Collects the files of one folder that sources name."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.files: dict[str, PackageFile] = {}
        """The files, by their paths below the folder."""
        self.trees: list[Tree] = []
        """The folders that sources name, as they were when they were walked."""
        self.left_out: list[str] = []
        """Folders that sources name and that are too large to travel."""

    def look(self, source: bytes, stem: str, *, in_package: bool) -> None:
        """Add the files that a module's source names.

        Args:
            source: the source of a module in the folder, or in a package in the folder.
            stem: the name of the module's file without its ending.
            in_package: whether the module belongs to a package.
        """
        # Only a module that asks for its own location can find files by it. One in a package finds the
        # package's files, which travel anyway, unless it climbs to a folder above.
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
        if not re.search(r"\w", name):  # a star alone would name the whole folder
            return []
        return sorted(glob.glob(name, root_dir=self._folder, recursive="**" in name))

    def _add(self, name: str) -> None:
        path = os.path.join(self._folder, name)
        if any(part.startswith(".") for part in name.split(os.sep)) or _is_no_data(name):
            return
        if os.path.isfile(path):
            self.files.setdefault(name, PackageFile(name, path, os.stat(path).st_size))
        elif os.path.isdir(path):
            if not _is_small(path):
                self.left_out.append(f"{name}/")
                return
            tree = walk(name, path)
            self.trees.append(tree)
            for file in tree.files:
                self.files.setdefault(file.name, file)


def _is_small(path: str) -> bool:
    """Return whether a folder is small enough to travel; stops counting as soon as it is not."""
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
    """Yield the text constants of a source, and f-strings as patterns with a star for each gap.

    Yields nothing when the source is not valid Python.
    """
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
