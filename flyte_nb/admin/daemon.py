"""Find, start and stop the background process. There is one for each home folder.

The process that serves a folder holds `serving.lock` in it, and the kernel releases the lock however
the process ends. So the lock alone decides whether a backend runs, and `backend.json` is read only
while it is held. A stale file, a process id that another process has by now, or another program on
the old port therefore mislead nobody.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from flyte_nb.admin.home import Home, Serving, private
from flyte_nb.admin.locks import FileLock
from flyte_nb.admin.replacing import is_to_be_replaced, notice
from flyte_nb.api.errors import BackendError
from flyte_nb.propeller.executors.processes import is_process
from flyte_nb.runtime.machine import this_machine
from flyte_nb.runtime.variables import is_of_a_run

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02
_LOG_TAIL_BYTES = 2000


class BackendInfo(NamedTuple):
    """A running backend, and how to reach it."""

    endpoint: str
    """`127.0.0.1:<port>`; gRPC without TLS."""
    token: str
    home: Path
    pid: int
    storage_root: str
    """URI of the folder that holds the objects."""
    config_file: Path
    """For flytekit and flytectl (`FLYTECTL_CONFIG`)."""
    notice: str = ""
    """What a person should know about it, e.g. that it is of another release; often empty."""


def ensure(home: "Path | None" = None, *, timeout_s: float = _START_TIMEOUT_S) -> BackendInfo:
    """Return the backend of that home folder; start it if it does not run.

    Callers that come at the same time get the same backend. One of an older release is replaced when
    nothing runs, and one whose Python is gone at once: see `replacing`.

    Args:
        home: The folder; `None` means `FLYTE_NB_HOME`, else the platform's user data folder.
        timeout_s: How long the start may take, in seconds.

    Raises:
        BackendError: when it cannot be started; the message says why and what to do.
    """
    place = Home(home)
    # The usual case takes no lock: it only reads `backend.json` of a running backend.
    found = _serving(place)
    if found is not None and not is_to_be_replaced(place, found):
        return _info(place, found)
    place.prepare()
    with FileLock(place.starting_lock) as starting:
        starting.acquire(timeout_s)
        # Look again: another caller may have started it while this one waited for the lock.
        found = _serving(place)
        if found is not None:
            if not is_to_be_replaced(place, found):
                return _info(place, found)
            # Attempts go on, and the backend that is started below adopts them.
            stop(place.folder)
        return _start(place, timeout_s)


def status(home: "Path | None" = None) -> "BackendInfo | None":
    """Return the backend of that home folder, or `None` when none runs.

    Raises:
        BackendError: when a backend of another machine serves the folder, or something that is no
            backend holds its lock.
    """
    return _running(Home(home))


def stop(home: "Path | None" = None, *, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
    """End the backend of that home folder; return whether one ran. Attempts that run go on.

    The next start continues the executions that had not ended.

    Raises:
        BackendError: when it does not end in time, or something that is no backend holds the lock.
    """
    place = Home(home)
    # Not `status`, which reads the token: a backend whose token was deleted has to be stopped.
    found = _serving(place)
    if found is None:
        return False
    try:
        os.kill(found.pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    lock = FileLock(place.serving_lock)
    end = time.monotonic() + timeout_s
    while lock.is_held_by_somebody():
        if time.monotonic() > end:
            raise BackendError(
                f"The local backend (process {found.pid}) does not end.",
                hint=f"See {place.log_file}; `kill -9 {found.pid}` is safe and loses no recorded work.",
            )
        time.sleep(_POLL_S)
    return True


def _serving(place: Home) -> "Serving | None":
    """Return who serves the folder now, or `None`.

    Raises:
        BackendError: when that is a backend of another machine, or no backend at all.
    """
    lock = FileLock(place.serving_lock)
    end = time.monotonic() + _START_TIMEOUT_S
    while lock.is_held_by_somebody():
        serving = place.serving()
        if serving is not None and serving.pid:
            # A process id means nothing on another machine, so nothing can be asked or signalled there.
            if serving.machine.is_another(this_machine()):
                raise _elsewhere(place, serving)
            if is_process(serving.pid, serving.began_s):
                return serving
        # The holder has not written its address yet, or is about to end.
        # It may also be something else that holds the lock, so the wait has an end.
        if time.monotonic() > end:
            raise BackendError(
                f"A process holds {place.serving_lock}, but it is not a backend that answers.",
                hint=f"Find it with `fuser {place.serving_lock}`, end it, then try again.",
            )
        time.sleep(_POLL_S)
    return None


def _elsewhere(place: Home, serving: Serving) -> BackendError:
    here = this_machine()
    where = f"the machine {serving.host}"
    if serving.machine.has_boot_of(here):
        where = f"another container ({serving.host})"
    return BackendError(
        f"The folder {place.folder} is served by a local backend on {where}, process"
        f" {serving.pid}, and a backend can be reached only from its own machine.",
        hint="Give this machine a folder of its own, for example"
        f" FLYTE_NB_HOME={place.folder}-{here.host}; or run `flyte-nb down` there first.",
    )


def _running(place: Home) -> "BackendInfo | None":
    serving = _serving(place)
    return None if serving is None else _info(place, serving)


def _info(place: Home, serving: Serving) -> BackendInfo:
    return BackendInfo(
        endpoint=f"127.0.0.1:{serving.port}",
        token=place.token(),
        home=place.folder,
        pid=serving.pid,
        storage_root=place.storage_root,
        config_file=place.config_file,
        notice=notice(place, serving),
    )


def _start(place: Home, timeout_s: float) -> BackendInfo:
    """Start the process, and wait until it reports that it serves, or why it does not."""
    # The pipe also shows an end without an answer: then it is closed.
    reading, writing = os.pipe()
    try:
        with open(place.start_log_file, "wb", opener=private) as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "flyte_nb.admin"),
                    *("--home", str(place.folder), "--detach", "--ready-fd", str(writing)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                # Not the notebook's folder, which could not be unmounted or deleted then.
                cwd=place.folder,
                env=_environment(),
            )
    except OSError as error:
        os.close(reading)
        raise BackendError(f"The local backend cannot be started: {error}.") from error
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        answer = _read_answer(ready.fileno(), timeout_s)
    if answer is None:
        process.kill()
    # The process that was started forks and ends (`--detach`), so it leaves no zombie here.
    process.wait()
    if answer is None:
        raise BackendError(
            f"The local backend did not start within {timeout_s:.0f} s.",
            hint=f"See {place.log_file} and {place.start_log_file}.",
        )
    if "error" in answer:
        raise BackendError(answer["error"], hint=answer.get("hint", ""))
    if not answer:
        raise BackendError(
            f"The local backend ended before it served.\n{_tail(place.start_log_file)}",
            hint=f"See {place.log_file}.",
        )
    found = _running(place)
    if found is None:
        raise BackendError(
            "The local backend ended right after its start.", hint=f"See {place.log_file}."
        )
    return found


def _read_answer(descriptor: int, timeout_s: float) -> "dict[str, str] | None":
    """Return what the process wrote when it was ready.

    `None` means that the time is over, and an empty answer that the process ended without one.
    """
    end = time.monotonic() + timeout_s
    data = b""
    while not data.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        chunk = os.read(descriptor, 65536)
        # Every copy of the other end is closed, so the process has ended.
        if not chunk:
            return {}
        data += chunk
    answer: dict[str, str] = json.loads(data)
    return answer


def _environment() -> dict[str, str]:
    """Return the variables for the process: none of an attempt, and none of a notebook's server.

    The backend outlives the kernel that starts it, and passes its variables on to attempts.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not is_of_a_run(name) and not name.startswith("JPY_")
    }


def _tail(path: Path) -> str:
    try:
        return path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""
