"""Make the kernel's packages importable in an interpreter that was started isolated (`python -I`).

It imports the standard library only, because the worker's scripts load this file by its path.
"""

import os
import site
import sys


def find_in(folders: str) -> None:
    """Add the folders to `sys.path`, together and in their order, before other folders of packages.

    Args:
        folders: paths, separated as in `PATH`; missing ones are ignored.
    """
    wanted = [folder for folder in folders.split(os.pathsep) if folder]
    for folder in wanted:
        if folder not in sys.path:
            site.addsitedir(folder)  # it also reads the folder's .pth files
    found = [folder for folder in wanted if folder in sys.path]
    if not found:
        return
    # `addsitedir` appends, and some folders were there already. All go where the first of them is now.
    first = min(sys.path.index(folder) for folder in found)
    before = [path for path in sys.path[:first] if path not in found]
    after = [path for path in sys.path[first:] if path not in found]
    sys.path[:] = [*before, *found, *after]
