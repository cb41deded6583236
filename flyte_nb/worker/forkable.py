"""Decide whether forks of this process are as good as fresh processes, and prepare the process for forking.

Standard library only, because a zygote loads this file by its path.
"""

import gc
import os
import sys
import warnings

_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)
"""Names of threads that may exist: their library stops them before a fork and starts them again."""


def why_unfit() -> str:
    """Return why forks of this process would not be complete, or an empty text.

    A fork has only the thread that forked. If another thread held a lock in that moment, nobody in the
    fork ever releases it. So a process with further threads must not be forked.

    Numeric libraries start threads when they are imported. Those that can live with a fork end them
    when one is made. So a fork is made here before the threads are counted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of these very threads
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    names = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    others = [name for name in names if name not in _FORK_SAFE_THREADS]
    return f"it runs {len(others)} threads" if len(others) > 1 else ""


def loaded_files(folder: str) -> "list[str]":
    """Return the files of the interpreter, its modules and its libraries, except those below `folder`.

    The bundle's own files are below `folder`. They are private to the zygote and do not change. One
    file stands for the whole standard library, which only changes together with the interpreter.
    """
    paths = {sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"), os.__file__}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            paths.add(path)
    try:
        # Native libraries: a module's own, and those that they need.
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, slash, rest = line.rstrip("\n").partition("/")
                paths.add(slash + rest)
    except OSError:
        pass
    others = (folder, "/dev/", "/proc/")
    return sorted(path for path in paths if os.path.isabs(path) and not path.startswith(others))


def settle() -> None:
    """Keep the garbage collector away from everything that is loaded.

    A fork shares the memory of its parent until one of them writes to it. A collection writes into the
    header of every object, and so would copy all of it, in every fork.
    """
    gc.collect()
    gc.freeze()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
