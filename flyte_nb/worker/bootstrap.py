"""The first code of a worker's interpreter: wait for the ring's path, then serve from the ring.

The host starts this file by its path (`python -I bootstrap.py READ_FD WRITE_FD FOLDER PACKAGES`) before it
has fetched anything, so that the interpreter starts meanwhile. The file is the host's own. It imports the
standard library only until the ring is first on `sys.path`, so that a task is loaded by the SDK that
pickled it and not by the host's.
"""

import os
import sys

TYPE_CHECKING = False  # without importing typing, which takes time and is needed by mypy only
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Wait for the ring's path, import the ring, and run the attempt. It returns when the host gave up."""
    read_fd, write_fd, folder, packages = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
    for descriptor in (read_fd, write_fd):
        os.set_inheritable(descriptor, False)  # programs that the user starts must not get the pipe
    sys.argv[:] = ["flyte-nb-worker"]
    for stream in (sys.stdout, sys.stderr):
        # A log that is followed shows a line when it is written, not when a buffer is full.
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    if packages:
        _beside("packages").find_in(packages)
    _preload()
    ring = _ring_path(read_fd)
    if ring is None:
        return  # the host gave up, and has reported the reason itself
    sys.path.insert(0, ring)
    from flyte_nb.worker.main import serve  # it only exists since the line above

    serve(read_fd, write_fd, folder)


def _beside(name: str) -> "Any":
    """Load the module in the file `name`.py beside this one, without putting it into `sys.modules`.

    The ring has a module of the same name, which must be imported from the ring later.
    """
    import importlib.util

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"flyte_nb.worker.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _preload() -> None:
    """Import the modules that every task needs while the host fetches and verifies."""
    import base64
    import contextvars
    import json
    import linecache
    import mmap
    import pickle
    import typing
    import zipimport

    del base64, contextvars, json, linecache, mmap, pickle, typing, zipimport


def _ring_path(read_fd: int) -> "str | None":
    """Return the path in the host's first message, or `None` when the host closed the pipe.

    The frame is read here, and not by `pipe.Pipe`, because flyte_nb cannot be imported yet.
    """
    header = _read(read_fd, 8)
    if len(header) < 8:
        return None
    body = _read(read_fd, int.from_bytes(header[4:], "big"))
    import json

    return str(json.loads(body)["path"])


def _read(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            break
        data += chunk
    return data


if __name__ == "__main__":
    main()
