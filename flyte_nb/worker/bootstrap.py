"""What the worker's interpreter runs first: wait for the ring's path, then load from it.

The host starts this file by its path (`python -I bootstrap.py READ_FD WRITE_FD FOLDER PACKAGES`) before it
has fetched anything. It is the host's, imports the standard library only, and never flyte_nb before
the ring is first on the path: the rest is loaded by the SDK that pickled the task.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Load the ring that the host names, and serve its task."""
    read_fd, write_fd, folder, packages = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
    for descriptor in (read_fd, write_fd):
        os.set_inheritable(descriptor, False)  # programs that the user starts do not meet the pipe
    sys.argv[:] = ["flyte-nb-worker"]
    for stream in (sys.stdout, sys.stderr):
        # A log that is followed shows a line when it is written, not when a buffer is full.
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    if packages:
        _beside("packages").find_in(packages)
    _preload()
    ring = _ring_path(read_fd)
    if ring is None:
        return  # the host gave up, and has said why
    sys.path.insert(0, ring)
    from flyte_nb.worker.main import serve

    serve(read_fd, write_fd, folder)


def _beside(name: str) -> "Any":
    """The module in the file next to this one, under no name that others could find."""
    import importlib.util

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"flyte_nb.worker.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _preload() -> None:
    """Import what every task needs, while the host fetches and verifies."""
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
