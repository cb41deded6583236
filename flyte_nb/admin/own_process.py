"""Settings of the backend's own process: its limit of open files, and where its output goes."""

import contextlib
import logging
import os
import resource
import threading

_LOG = logging.getLogger(__name__)
_OPEN_FILES = 16_384
_LINE_BYTES = 4_096


def allow_open_files() -> int:
    """Raise the limit of open files as far as is useful and allowed; return the limit.

    Each connection is an open file. With the usual 1024, a thousand idle ones leave none for the
    database and the tasks.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    for limit in (wanted, 10_240):  # macOS grants no more than 10,240, also without a hard limit
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return limit
    return soft


def log_standard_streams() -> None:
    """Send what is written to stdout and stderr to the log, which is rotated.

    gRPC's own library writes there, a line a second while it cannot accept connections, and so does
    Python with its tracebacks. A plain file would grow for as long as that lasts.
    """
    reading, writing = os.pipe()
    for standard in (1, 2):
        os.dup2(writing, standard)
    # The two streams have copies, and the thread sees the end of the pipe when both are closed.
    os.close(writing)
    thread = threading.Thread(
        target=_log_lines, args=(reading,), name="flyte-nb-stderr", daemon=True
    )
    thread.start()


def _log_lines(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        rest = b""
        while chunk := stream.read(_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            # A line without an end must not fill the memory.
            if len(rest) > _LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                if line.strip():
                    _LOG.warning("%s", line.decode(errors="replace").rstrip())
