"""Find packages where the kernel found them, in an interpreter that was started isolated.

Standard library only: the worker's scripts load this file by its path.
"""

import os
import site
import sys


def find_in(folders: str) -> None:
    """Put the folders (separated as in `PATH`) where packages are looked for, in that order."""
    wanted = [folder for folder in folders.split(os.pathsep) if folder]
    for folder in wanted:
        if folder not in sys.path:
            site.addsitedir(folder)  # also what its .pth files name
    found = [folder for folder in wanted if folder in sys.path]
    if not found:
        return
    first = min(sys.path.index(folder) for folder in found)
    before = [path for path in sys.path[:first] if path not in found]
    after = [path for path in sys.path[first:] if path not in found]
    sys.path[:] = [*before, *found, *after]
