"""List the files of one local module or package on disk, and notice whether one changed since.

To see that nothing changed costs one listing for each folder and one `stat` for each file. Less would not
do: a folder's own time changes when files are added or removed, on file systems that keep it, and never
when a file is edited in place.
"""

import os
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

SETTLED_NS = 2_000_000_000
"""A file that is written twice within this time may have the same times after both: clocks of file systems
are coarse, some tick every two seconds."""
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
_NOT_CODE = (".pyc", ".ipynb")

Stamp = tuple[int, int, int, int]
"""Size, inode, and the times of the last change of content and of any change, in nanoseconds.

Programs can set the first time: a copy may keep an older file's. Only the system sets the second one.
"""
_stamp = attrgetter("st_size", "st_ino", "st_mtime_ns", "st_ctime_ns")


class PackageFile(NamedTuple):
    """One file that travels with its package, unless it is too large or compiled."""

    name: str
    """Its path inside of the zip."""
    path: str
    size: int


class _Folder(NamedTuple):
    """A folder as it was when it was walked."""

    path: str
    listed: "list[str] | None"
    """Everything in it, in the order of the file system, which stays the same while nothing changes. `None`
    for the folder of a single-file module, whose other files do not matter."""
    names: "list[str]"
    """Its files that matter, and the links that were not followed."""
    stamps: "list[Stamp]"
    """The stamps of `names`."""


class Tree(NamedTuple):
    """All files of a module, as they were when it was walked."""

    files: "tuple[PackageFile, ...]"
    folders: "tuple[_Folder, ...]"
    newest_ns: int
    """When the last file changed, in nanoseconds since 1970."""

    def is_settled(self, now_ns: int) -> bool:
        """Return whether the last change is so long ago that another one is sure to change a stamp."""
        return now_ns - self.newest_ns >= SETTLED_NS

    def is_unchanged(self) -> bool:
        """Return whether the disk has the same files with the same stamps."""
        try:
            return all(map(_is_unchanged, self.folders))
        except OSError:  # something is gone or unreadable; `walk` will raise an error that names it
            return False


def walk(top: str, place: str) -> Tree:
    """Return the files of the top-level module `top` at `place`, a file or a folder.

    Raises:
        OSError: when a folder cannot be listed, or a file does not exist, e.g. behind a broken link.
    """
    if os.path.isfile(place):
        path, name = os.path.split(place)
        folder = _Folder(path, None, [name], [_stamp(os.stat(place))])
        return _tree([PackageFile(f"{top}.py", place, folder.stamps[0][0])], [folder])
    files: list[PackageFile] = []
    folders: list[_Folder] = []
    waiting = [(place, f"{top}/")]
    # Links to folders are followed, because authors link shared code into their folder. Each real folder
    # is walked once, so that a link to a folder above does not lead around forever.
    real = {os.path.realpath(place)}
    while waiting:
        path, prefix = waiting.pop()
        with os.scandir(path) as entries:
            inside = list(entries)
        folder = _Folder(path, [entry.name for entry in inside], [], [])
        folders.append(folder)
        for entry in inside:
            name = entry.name
            if name[0] == "." or name in _LEFT_OUT or name.endswith(_NOT_CODE):
                continue
            if entry.is_dir() and _is_new(entry, real):
                waiting.append((entry.path, f"{prefix}{name}/"))
                continue
            stamp = _stamp(entry.stat())
            folder.names.append(name)
            folder.stamps.append(stamp)
            # A folder here is a link that leads back into the tree. It has a stamp, so that a change of
            # where it leads is noticed, and it brings no files.
            if not entry.is_dir():
                files.append(PackageFile(prefix + name, entry.path, stamp[0]))
    return _tree(files, folders)


def listed_tree(path: str, files: "Sequence[PackageFile]") -> Tree:
    """Return a tree of some files of the folder `path` that changes when anything in the folder does.

    A new file in the folder may be one that a pattern in the source matches.

    Raises:
        OSError: when the folder cannot be listed or a file does not exist.
    """
    stamps = [_stamp(os.stat(file.path)) for file in files]
    names = [os.path.relpath(file.path, path) for file in files]
    return _tree(list(files), [_Folder(path, os.listdir(path), names, stamps)])


def joined(tree: Tree, others: "Sequence[Tree]") -> Tree:
    """Return one tree with the files of all of them."""
    trees = (tree, *others)
    return Tree(
        tuple(file for each in trees for file in each.files),
        tuple(folder for each in trees for folder in each.folders),
        max(each.newest_ns for each in trees),
    )


def _tree(files: "list[PackageFile]", folders: "list[_Folder]") -> Tree:
    newest = max((max(stamp[2:]) for folder in folders for stamp in folder.stamps), default=0)
    return Tree(tuple(files), tuple(folders), newest)


def _is_new(entry: "os.DirEntry[str]", real: "set[str]") -> bool:
    """Return whether a folder was not walked yet. A link may lead to a folder that contains the link."""
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if any(target == known or known.startswith(target + os.sep) for known in real):
        return False
    real.add(target)
    return True


def _is_unchanged(folder: _Folder) -> bool:
    # Relative to the open folder, because the system looks up a name faster than a whole path.
    opened = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if folder.listed is not None and os.listdir(opened) != folder.listed:
            return False
        found = map(partial(os.stat, dir_fd=opened), folder.names)
        return list(map(_stamp, found)) == folder.stamps
    finally:
        os.close(opened)
