"""Run a `ContainerTask` of a local run, as the local backend runs it: its image, or a process.

The supervisor of tasks of other SDKs does the work. Here a folder of the kernel stands for the store.
"""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import IO

from flyte_nb.api.errors import SYSTEM, ErrorInfo, TaskFailed
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.foreign import Access, foreign_words
from flyte_nb.propeller.executors.outcome import Ended, outcome
from flyte_nb.propeller.foreign.containers import program_of
from flyte_nb.propeller.ports import Attempt, AttemptReport
from flyte_nb.sdk.kinds.container import ContainerTask
from flyte_nb.storage import open_stores

_ASK_S = 0.2
"""How often the wait for the command is left, so that an interrupt of this thread is seen."""
_GRACE_S = 2.0
_PREFIX = "[Local Container] "


def run_here(task: ContainerTask, attempt: Attempt, data: "DataAccess | None") -> AttemptReport:
    """Run one attempt to its end, and return its report.

    Args:
        task: The task.
        attempt: The attempt, with its template and its inputs.
        data: Its folder keeps what outputs refer to; without it, that is kept until somebody removes it.

    Raises:
        TaskFailed: when the command cannot be filled in, or this machine cannot start it.
    """
    place = Path(data.scratch() if data is not None else tempfile.mkdtemp())
    folder = AttemptFolder(place, attempt.key)
    folder.create()
    store, uri = open_stores(), place.as_uri()
    attempt = attempt._replace(
        input_uri=f"{uri}/inputs.pb", output_prefix=f"{uri}/out", raw_output_prefix=f"{uri}/raw"
    )
    store.write(attempt.input_uri, attempt.inputs.SerializeToString(deterministic=True))
    program = program_of(attempt.task)
    variables = {**os.environ, **attempt.envs, **dict(program.env)}
    words = foreign_words(program, attempt, folder, variables, Access())
    try:
        code, tail = _run(words, variables, folder, task.local_logs)
    except OSError as error:
        text = f"The container task {task.name} cannot be started on this machine: {error}"
        raise TaskFailed(ErrorInfo("SYSTEM:NotStarted", text, SYSTEM)) from error
    found = outcome(attempt, Ended(code, tail), store)
    return AttemptReport(attempt.key, outputs=found.outputs, error=found.error)


def _run(
    words: "list[str]", variables: "dict[str, str]", folder: AttemptFolder, prints: bool
) -> "tuple[int, str]":
    """Run the command to its end; return its exit code and the last lines that it printed."""
    child = subprocess.Popen(
        words,
        env=variables,
        cwd=folder.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # an interrupt of the kernel comes to this thread, and ends the group
    )
    lines: list[str] = []
    assert child.stdout is not None
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    shown = 0
    try:
        while child.poll() is None:
            reader.join(_ASK_S)
            shown = _print(lines, shown, prints)
        # Not for ever: a process that the command left behind may hold the pipe open.
        reader.join(_GRACE_S)
        _print(lines, shown, prints)
    finally:
        _end(child)
    return child.returncode, "".join(lines[-20:]).rstrip()


def _read(stream: "IO[str]", lines: "list[str]") -> None:
    with stream:
        for line in stream:
            lines.append(line)


def _print(lines: "list[str]", shown: int, prints: bool) -> int:
    """Print what came since. It is done in the task's thread, whose output a notebook shows at its cell."""
    known = len(lines)
    if prints:
        for line in lines[shown:known]:
            sys.stdout.write(_PREFIX + line)
    return known


def _end(child: "subprocess.Popen[str]") -> None:
    """End the command and all that it started, if it has not ended."""
    for number in (SIGTERM, SIGKILL):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
            child.wait(_GRACE_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
