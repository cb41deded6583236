"""The files of one local module or package on disk, and whether one of them was touched since.

A look at a tree that is known costs a list of names a folder and one `stat` a file, which is as much
as it takes to be sure: the time of a folder tells of files that came and went, where the file system
keeps it, and never of one that was edited in place.
"""

import os
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

SETTLED_NS = 2_000_000_000
"""A file written within this time may be written again without its time changing."""
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
_NOT_CODE = (".pyc", ".ipynb")

Stamp = tuple[int, int, int, int]
"""Size, inode, and the nanoseconds of the last change of content and of any change.

An editor or a copy may give a file an older time of content; the time of any change is the system's.
"""
_stamp = attrgetter("st_size", "st_ino", "st_mtime_ns", "st_ctime_ns")


class File(NamedTuple):
    """One file that travels with its package, unless it is too large or compiled."""

    name: str
    """In the zip."""
    path: str
    size: int


class _Folder(NamedTuple):
    """A folder as it was when it was walked."""

    path: str
    listed: "list[str] | None"
    """Everything in it, in the order of the file system, which stays while nothing changes. `None` of
    the folder that a module of one file lies in."""
    names: "list[str]"
    """Its files that matter, and links that were not followed."""
    stamps: "list[Stamp]"


class Tree(NamedTuple):
    """Every file of a module, as they were when it was walked."""

    files: "tuple[File, ...]"
    folders: "tuple[_Folder, ...]"
    newest_ns: int
    """When the last of the files was touched."""

    def is_settled(self, now_ns: int) -> bool:
        """Whether no file was touched so lately that its stamp could stay when it is touched again."""
        return now_ns - self.newest_ns >= SETTLED_NS

    def is_as_it_was(self) -> bool:
        """Whether the disk has the same files with the same stamps."""
        try:
            return all(map(_is_as_it_was, self.folders))
        except OSError:  # something went, or became unreadable: who walks again is told what
            return False


def walk(top: str, place: str) -> Tree:
    """The files of the top-level module `top` at `place`, a file or a folder.

    Raises:
        OSError: when a folder cannot be listed, or a file is not there, as behind a broken link.
    """
    if os.path.isfile(place):
        path, name = os.path.split(place)
        folder = _Folder(path, None, [name], [_stamp(os.stat(place))])
        return _tree([File(f"{top}.py", place, folder.stamps[0][0])], [folder])
    files: list[File] = []
    folders: list[_Folder] = []
    waiting = [(place, f"{top}/")]
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
            if (
                not entry.is_dir()
            ):  # else a link that leads back: watched, for it may lead elsewhere
                files.append(File(prefix + name, entry.path, stamp[0]))
    return _tree(files, folders)


def listed_tree(path: str, files: "Sequence[File]") -> Tree:
    """Some files of the folder `path`, which count together with everything that it lists."""
    stamps = [_stamp(os.stat(file.path)) for file in files]
    names = [os.path.relpath(file.path, path) for file in files]
    return _tree(list(files), [_Folder(path, os.listdir(path), names, stamps)])


def joined(tree: Tree, others: "Sequence[Tree]") -> Tree:
    """A tree with the files of all of them."""
    trees = (tree, *others)
    return Tree(
        tuple(file for each in trees for file in each.files),
        tuple(folder for each in trees for folder in each.folders),
        max(each.newest_ns for each in trees),
    )


def _tree(files: "list[File]", folders: "list[_Folder]") -> Tree:
    newest = max((max(stamp[2:]) for folder in folders for stamp in folder.stamps), default=0)
    return Tree(tuple(files), tuple(folders), newest)


def _is_new(entry: "os.DirEntry[str]", real: "set[str]") -> bool:
    """Whether a folder was not met yet: a link may lead to a folder that it lies in."""
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if any(target == known or known.startswith(target + os.sep) for known in real):
        return False
    real.add(target)
    return True


def _is_as_it_was(folder: _Folder) -> bool:
    # From the open folder, for a name is looked up faster than a path.
    opened = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if folder.listed is not None and os.listdir(opened) != folder.listed:
            return False
        found = map(partial(os.stat, dir_fd=opened), folder.names)
        return list(map(_stamp, found)) == folder.stamps
    finally:
        os.close(opened)
