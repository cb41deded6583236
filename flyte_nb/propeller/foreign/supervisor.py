"""Supervise one attempt at a task of another SDK: fetch inputs, run the command or image, store outputs.

It runs in the command's place, in a process of its own that has the attempt's lock. It ends as the
command ends: with its exit code, or by its signal. What goes wrong around the command is written to
`error.pb`.
"""

import os
import signal
import subprocess
import sys
from types import FrameType
from typing import NamedTuple

from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import DataLoadingConfig

from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, ErrorInfo, StorageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import OUTPUTS
from flyte_nb.propeller.foreign.containers import no_command
from flyte_nb.propeller.foreign.download import Download, NotWritten
from flyte_nb.propeller.foreign.engines import NOT_RUN, Engine, find_engine, say
from flyte_nb.propeller.foreign.job import AUTO, CONTAINERS_VARIABLE, Job, is_off
from flyte_nb.propeller.foreign.missing import command_missing
from flyte_nb.propeller.foreign.upload import NotStored, Upload
from flyte_nb.storage import open_stores
from flyte_nb.wire.errors import error_document_to_idl

DEFAULT_INPUTS = "/var/flyte/inputs"
DEFAULT_OUTPUTS = "/var/flyte/outputs"
"""Where a container has its inputs and outputs when the task does not say (flytek8s/config/config.go)."""

ERROR = "error.pb"


class Failed(Exception):
    """The attempt failed, and not by its command's exit."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


class _Interrupted(Exception):
    """The process was asked to end."""


class Files(NamedTuple):
    """Where the inputs and outputs are as files: on this machine, and as the command sees them."""

    inputs: str
    outputs: str
    seen_inputs: str
    seen_outputs: str


def supervise(job: Job) -> int:
    """Run the attempt; return the exit code, negative for the signal that ended the command."""
    store = open_stores()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(job, store)
    except Failed as failure:
        info = failure.info
    except _Interrupted:
        text = "The attempt was interrupted by SIGTERM."
        info = ErrorInfo("SYSTEM:Interrupted", text, SYSTEM, recoverable=True)
    except (StorageError, OSError) as error:
        info = ErrorInfo("SYSTEM:StorageError", str(error), SYSTEM, recoverable=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(f"{info.code}: {info.message}")
    document = error_document_to_idl(info).SerializeToString()
    store.write(f"{job.output_prefix}/{ERROR}", document)
    return 0


def _run(job: Job, store: BlobStore) -> int:
    engine = _engine(job)
    has_engine = isinstance(engine, Engine)
    config = DataLoadingConfig.FromString(bytes.fromhex(job.data)) if job.data else None
    if config is None:
        if isinstance(engine, Engine):
            return _run_image(engine, job, {})
        return _replace_by(job, engine)
    interface = TypedInterface.FromString(bytes.fromhex(job.interface))
    files = _files(job, config, in_image=has_engine)
    _fetch(job, store, config, interface, files)
    if isinstance(engine, Engine):
        volumes = {}
        if interface.inputs.variables:
            volumes[files.seen_inputs] = files.inputs
        if interface.outputs.variables:
            volumes[files.seen_outputs] = files.outputs
        code = _run_image(engine, job, volumes)
    else:
        code = _run_process(job, engine)
    if code == 0:
        _store(job, store, interface, files)
    return code


def _engine(job: Job) -> "Engine | str":
    """Return the engine that runs the image; else a sentence that says why none does.

    Raises:
        Failed: when a setting names an engine and that cannot be used.
    """
    setting = os.environ.get(CONTAINERS_VARIABLE, "").strip() or AUTO
    if is_off(setting):
        return f"{CONTAINERS_VARIABLE}={setting} forbids images."
    if not job.image:
        return "The task names no image."
    found = find_engine(setting, os.environ)
    if isinstance(found, str):
        if setting != AUTO:
            text = f"{found} {CONTAINERS_VARIABLE}={setting} asks for it; `auto` or `off` does without."
            raise Failed(ErrorInfo("ContainerEngineNotFound", text, USER))
        return found
    if found.has(job.image):
        return found
    why = f"{os.path.basename(found.path)} cannot get the image {job.image}; the log says why."
    if setting != AUTO:
        text = f"{why} Check its name and that this machine reaches its registry."
        raise Failed(ErrorInfo("ImageNotAvailable", text, USER, recoverable=True))
    say(f"{why} The command runs as a process of this machine.")
    return why


def _files(job: Job, config: DataLoadingConfig, *, in_image: bool) -> Files:
    inputs, outputs = f"{job.scratch}/inputs", f"{job.scratch}/outputs"
    for folder in (inputs, outputs):
        os.makedirs(folder, exist_ok=True)
    # A process of this machine sees the files where they are.
    if not in_image:
        return Files(inputs, outputs, inputs, outputs)
    return Files(inputs, outputs, *seen_paths(config))


def seen_paths(config: DataLoadingConfig) -> "tuple[str, str]":
    """Return the folders in which a container has its inputs and its outputs."""
    return config.input_path or DEFAULT_INPUTS, config.output_path or DEFAULT_OUTPUTS


def _fetch(
    job: Job,
    store: BlobStore,
    config: DataLoadingConfig,
    interface: TypedInterface,
    files: Files,
) -> None:
    if not interface.inputs.variables:
        return
    try:
        inputs = LiteralMap.FromString(store.read(job.input_uri))
        Download(store, files.inputs, files.seen_inputs).run(inputs, config.format)
    except (NotWritten, StorageError) as error:
        text = f"failed to download input variable from remote store: {error}"
        raise Failed(ErrorInfo("InputDownloadFailed", text, UNKNOWN, recoverable=True)) from error


def _store(job: Job, store: BlobStore, interface: TypedInterface, files: Files) -> None:
    if not interface.outputs.variables:
        return
    upload = Upload(store, files.outputs, files.seen_outputs, job.raw_prefix)
    try:
        outputs = upload.run(interface.outputs)
    except (NotStored, StorageError) as error:
        info = ErrorInfo("OutputUploadFailed", str(error), UNKNOWN, recoverable=True)
        raise Failed(info) from error
    store.write(f"{job.output_prefix}/{OUTPUTS}", outputs.SerializeToString(deterministic=True))


def _run_image(engine: Engine, job: Job, volumes: "dict[str, str]") -> int:
    # A container of that name can only be left from a start of this very attempt that was cut short.
    engine.remove(job.name)
    engine.removed_at_end(job.name)
    code = _wait(subprocess.Popen(engine.words(job, volumes)))
    if code == NOT_RUN:
        text = f"{engine.path} cannot run the image {job.image}; the log says why."
        raise Failed(ErrorInfo("ContainerNotStarted", text, SYSTEM, recoverable=True))
    if code and engine.ran_out_of_memory(job.name):
        text = f"The container of {job.task} used more memory than its limit (OOMKilled)."
        raise Failed(ErrorInfo("OOMKilled", text, USER, recoverable=True))
    return code


def _run_process(job: Job, why_no_image: str) -> int:
    try:
        # The command inherits the attempt's lock: it may live longer than this process.
        child = subprocess.Popen(job.words, env={**os.environ, **job.env}, close_fds=False)
    except (OSError, IndexError) as error:
        raise _cannot_start(job, error, why_no_image) from error
    return _wait(child)


def _replace_by(job: Job, why_no_image: str) -> int:
    """Become the command: nothing is left to supervise."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.execvpe(job.words[0], job.words, {**os.environ, **job.env})
    except (OSError, IndexError) as error:
        raise _cannot_start(job, error, why_no_image) from error


def _cannot_start(job: Job, error: Exception, why_no_image: str) -> Failed:
    if not job.words:
        return Failed(no_command(job.task, why_no_image.rstrip(".")).info)
    if isinstance(error, FileNotFoundError):
        return Failed(command_missing(job.words[0], job.image, why_no_image))
    text = f"The command {job.words[0]!r} of {job.task} cannot be started: {error}"
    return Failed(ErrorInfo("CommandNotExecutable", text, USER))


def _wait(child: "subprocess.Popen[bytes]") -> int:
    try:
        return child.wait()
    except _Interrupted:
        # The signal went to the whole process group, so the child ends too, or is killed with us.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child.wait()
        raise


def _interrupt(number: int, frame: "FrameType | None") -> None:
    raise _Interrupted


def end_as(code: int) -> None:
    """End this process with the command's exit code, or by the signal that ended the command."""
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:
        # This process may handle or ignore the signal. Only the default action ends it by the signal.
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
