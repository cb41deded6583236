"""What a worker of a Dask cluster does for an attempt: run its process, and end it when it is asked to.

Dask sends these functions by name, so a worker needs flyte_nb and nothing of the backend's machine.
The attempt is a process of its own, as on the backend's machine: it can be ended, and cannot end the
worker.

Dask gives a task of a lost worker to another one. An attempt must not run twice, so an `Event` of the
cluster is set when an attempt begins, and one that finds it set does nothing. The backend sets it
too, to keep an attempt from beginning.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import distributed
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.errors import ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.identifiers import TASK, ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.executors.attempt_environment import AttemptEnvironment
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.foreign import Access, foreign_words
from flyte_nb.propeller.executors.process import cannot_start, is_ours, own_words
from flyte_nb.propeller.executors.reaper import Exit, wait_for
from flyte_nb.propeller.foreign.containers import program_of
from flyte_nb.propeller.ports import Attempt, AttemptKey, Surroundings
from flyte_nb.storage import open_stores
from flyte_nb.wire.identifiers import identifier_from_idl

_distributed: Any = distributed
"""Dask's own functions carry no types."""

LOG = "log.txt"
"""The attempt's log, beside its results."""
_GUARD = 'read _; kill -KILL "-$1" 2>/dev/null'


class DaskJob(NamedTuple):
    """One attempt, as it is sent to a worker."""

    name: str
    """Names this start of the attempt in the whole cluster."""
    execution: "tuple[str, str, str]"
    node_id: str
    attempt: int
    task: bytes
    input_uri: str
    output_prefix: str
    raw_output_prefix: str
    checkpoint_uri: str
    prev_checkpoint_uri: str
    envs: "dict[str, str]"
    variables: "dict[str, str]"
    """How the launching side reaches stores."""
    secrets: "dict[str, str]"


class DaskEnd(NamedTuple):
    """How an attempt ended on a worker. Its results are in the store."""

    exit: Exit = Exit()
    log_tail: str = ""
    error: "ErrorInfo | None" = None
    """Why it could not be started."""
    not_shared: str = ""
    """The worker's machine, when that does not see the objects of the backend."""
    is_repeated: bool = False
    """Whether it had begun before, on a worker that was lost, or must not begin any more."""


class _Running:
    def __init__(self) -> None:
        self.pid = 0
        self.is_ended = False


_lock = threading.Lock()
_running: "dict[str, _Running]" = {}


def run_attempt(job: DaskJob) -> DaskEnd:
    """Run the attempt, and return when its process has ended. It runs in a thread of the worker."""
    running = _Running()
    # First this, then the event: who sets the event and then asks `alive` finds every attempt that will run.
    with _lock:
        _running[job.name] = running
    try:
        event = _distributed.Event(job.name, client=_distributed.get_client())
        if event.is_set():
            return DaskEnd(is_repeated=True)
        event.set()
        return _run(job, running)
    except TaskFailed as failed:
        return DaskEnd(error=failed.info)
    finally:
        with _lock:
            del _running[job.name]


def alive() -> "list[str]":
    """Return the names of the attempts that run on this worker."""
    with _lock:
        return list(_running)


def end_attempt(name: str, grace_s: float) -> bool:
    """Ask the attempt to end, and force it after the grace; return whether it runs on this worker."""
    with _lock:
        running = _running.get(name)
        if running is None:
            return False
        # The process may not exist yet. Then it is never started.
        running.is_ended = True
        _signal(running, signal.SIGTERM)

    def force() -> None:
        with _lock:
            # Its process may have ended meanwhile, and the number may belong to another one.
            if _running.get(name) is running:
                _signal(running, signal.SIGKILL)

    timer = threading.Timer(grace_s, force)
    # A worker that ends must not wait for it.
    timer.daemon = True
    timer.start()
    return True


def _signal(running: _Running, number: int) -> None:
    # The group is there as long as its leader was not waited for, which happens under the lock.
    if running.pid:
        os.killpg(running.pid, number)


def _run(job: DaskJob, running: _Running) -> DaskEnd:
    store = open_stores()
    task = TaskTemplate.FromString(job.task)
    try:
        if store.size(job.input_uri) is None:
            return DaskEnd(not_shared=socket.gethostname())
        inputs = LiteralMap.FromString(store.read(job.input_uri))
    except StorageError:
        return DaskEnd(not_shared=socket.gethostname())
    attempt = Attempt(
        key=AttemptKey(ExecutionId(*job.execution), job.node_id, job.attempt),
        task_id=identifier_from_idl(task.id, TASK),
        task=task,
        inputs=inputs,
        input_uri=job.input_uri,
        output_prefix=job.output_prefix,
        raw_output_prefix=job.raw_output_prefix,
        checkpoint_uri=job.checkpoint_uri,
        prev_checkpoint_uri=job.prev_checkpoint_uri,
        envs=job.envs,
    )
    home = tempfile.mkdtemp(prefix="flyte-nb-dask-")
    folder = AttemptFolder(Path(home), attempt.key)
    try:
        folder.create()
        program = program_of(task)
        words = own_words(program, attempt)
        lent = Surroundings(variables=job.variables, secrets=job.secrets)
        environ = AttemptEnvironment(os.environ).of(attempt, lent, folder, is_ours(words))
        variables = {**environ.common, **environ.own}
        words = words or foreign_words(program, attempt, folder, variables, Access())
        try:
            exit = _wait(words, folder, variables, running)
        except OSError as error:
            return DaskEnd(error=cannot_start(words, program.image, error))
        tail = folder.log_tail()
        _keep_log(store, folder, job.output_prefix)
        return DaskEnd(exit, tail)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(
    words: "list[str]", folder: AttemptFolder, variables: "dict[str, str]", running: _Running
) -> Exit:
    with _lock, folder.log.open("ab") as log:
        # It was asked to end before it had a process.
        if running.is_ended:
            return Exit(-signal.SIGTERM)
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.work,
            env=variables,
            # A group of its own, so that one signal reaches everything that the task starts.
            start_new_session=True,
        )
        running.pid = process.pid
    process.returncode = 0  # it is waited for below
    guard, held = _guarded(process.pid)
    try:
        # Without waiting for it: until then its number belongs to it, and a signal meets no stranger.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    finally:
        with _lock:
            # While the group's number is still taken: later the guard could kill a stranger.
            guard.kill()
            guard.wait()
            os.close(held)
            _signal(running, signal.SIGKILL)  # what is left of its group
            running.pid = 0
            exit = wait_for(process.pid)
    return exit


def _guarded(pid: int) -> "tuple[subprocess.Popen[bytes], int]":
    """Start a process that kills the attempt's group when this worker dies, however it dies.

    It reads a pipe, whose other end only this worker has.
    """
    reading, writing = os.pipe()
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", str(pid)], stdin=reading, start_new_session=True
    )
    # The guard has its own copy. It reads the end of the pipe when this worker closes the other end or dies.
    os.close(reading)
    return guard, writing


def _keep_log(store: BlobStore, folder: AttemptFolder, prefix: str) -> None:
    try:
        store.put(str(folder.log), f"{prefix}/{LOG}")
    except (StorageError, OSError):
        return  # the end of the log is in the report
