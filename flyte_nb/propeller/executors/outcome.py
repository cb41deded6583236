"""Decide how an attempt ended, from the files that it left and the exit of its process.

Source: flytepropeller/pkg/controller/nodes/task/handler.go and
flyteplugins/go/tasks/pluginmachinery/ioutils/remote_file_output_reader.go at v1.16.8.
"""

import signal
from typing import NamedTuple

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.literals_pb2 import LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import SYSTEM, USER, CodecError, ErrorInfo, StorageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import DECK, FUTURES, OUTPUTS
from flyte_nb.propeller.ports import Attempt
from flyte_nb.propeller.results import lacking, missing_outputs
from flyte_nb.runtime.memory import MemoryWatch, killed
from flyte_nb.storage.file import is_full
from flyte_nb.wire.errors import error_document_from_bytes

ERROR = "error.pb"

MAX_OUTPUTS_BYTES = 10 * 1024 * 1024
"""The size that Flyte's own installations allow for one `outputs.pb` (storage.limits.maxDownloadMBs)."""


class Ended(NamedTuple):
    """How the process of an attempt ended."""

    exit_code: "int | None" = None
    """As in `subprocess`: negative is the signal that killed it. `None` if nobody saw its end."""
    log_tail: str = ""
    memory: "MemoryWatch | None" = None
    """Counts the kernel's out-of-memory kills since the attempt began."""


class Outcome(NamedTuple):
    """What an attempt left; exactly one field is not `None`."""

    outputs: "LiteralMap | None" = None
    error: "ErrorInfo | None" = None
    job: "DynamicJobSpec | None" = None


def outcome(attempt: Attempt, ended: Ended, store: BlobStore) -> Outcome:
    """Return the outputs, the nodes that a dynamic task made, or the error.

    `error.pb` wins, whatever the exit code is. Then comes `futures.pb`, then `outputs.pb`. Without any of
    them, the exit explains it.
    """
    prefix = attempt.output_prefix
    try:
        error = _read(store, f"{prefix}/{ERROR}")
        if error is not None:
            return Outcome(error=_error_in(error, prefix))
        futures = _read(store, f"{prefix}/{FUTURES}")
        if futures is not None:
            return Outcome(job=DynamicJobSpec.FromString(futures))
        outputs = _read(store, f"{prefix}/{OUTPUTS}", MAX_OUTPUTS_BYTES)
        if outputs is not None:
            return _whole(LiteralMap.FromString(outputs), attempt)
    except _TooLarge as error_:
        return Outcome(error=error_.info)
    except (StorageError, DecodeError, OSError) as error_:
        # The task may have done its work. So the fault is the system's, and another attempt may follow.
        text = f"The attempt's results at {prefix} cannot be read: {error_}"
        return Outcome(error=ErrorInfo("SYSTEM:ResultsNotReadable", text, SYSTEM, recoverable=True))
    # A task without outputs need not write a file.
    if ended.exit_code == 0 and not attempt.task.interface.outputs.variables:
        return Outcome(LiteralMap())
    return Outcome(error=_without_files(ended, prefix))


def deck_of(attempt: Attempt, store: BlobStore, *, succeeded: bool) -> str:
    """Return the URI of the deck that the attempt left; empty when there is none.

    A task that says nothing of decks is asked about only after it succeeded, as propeller does it.
    """
    metadata = attempt.task.metadata
    is_said = metadata.HasField("generates_deck")
    if not metadata.generates_deck.value if is_said else not succeeded:
        return ""
    uri = f"{attempt.output_prefix}/{DECK}"
    try:
        return uri if store.size(uri) is not None else ""
    except (StorageError, OSError):
        return ""


def _whole(outputs: LiteralMap, attempt: Attempt) -> Outcome:
    """Return the outputs, or an error when one that the task's interface names is missing."""
    missing = missing_outputs(attempt.task, outputs)
    if missing:
        return Outcome(error=lacking(f"{attempt.output_prefix}/{OUTPUTS}", missing))
    return Outcome(outputs)


def _without_files(ended: Ended, prefix: str) -> ErrorInfo:
    if (ended.exit_code or 0) > 0 and is_full(prefix):
        text = (
            f"The attempt could not write its results to {prefix}: the disk is full."
            " Make room there, and launch again."
        )
        return ErrorInfo("SYSTEM:DiskFull", text, SYSTEM, recoverable=True)
    tail = f" Its log ends with:\n{ended.log_tail}" if ended.log_tail else ""
    code = ended.exit_code
    if code is None:
        text = "The attempt ended while the backend was not running, and left neither outputs nor an error."
        return ErrorInfo("SYSTEM:AttemptLost", text + tail, SYSTEM, recoverable=True)
    if code < 0:
        error = killed("The attempt's process", -code, _signal_name(-code), ended.memory)
        return error._replace(message=error.message + tail)
    if code > 0:
        text = f"The attempt's process ended with exit code {code}, and left no error.pb."
        return ErrorInfo("NonZeroExitCode", text + tail, USER, recoverable=True)
    text = "Outputs not generated by task execution"
    return ErrorInfo("OutputsNotFound", text, USER, recoverable=True)


class _TooLarge(Exception):
    def __init__(self, uri: str, size: int, most: int) -> None:
        text = (
            f"The outputs at {uri} have {size} bytes; {most} are allowed."
            " Return large values as a file or a dataset."
        )
        self.info = ErrorInfo("OutputSizeExceeded", text, USER)


def _read(store: BlobStore, uri: str, most: "int | None" = None) -> "bytes | None":
    size = store.size(uri)
    if size is None:
        return None
    if most is not None and size > most:
        raise _TooLarge(uri, size, most)
    return store.read(uri)


def _error_in(data: bytes, prefix: str) -> ErrorInfo:
    try:
        error = error_document_from_bytes(data)
    except CodecError as damage:
        text = f"The attempt failed, and its error file {prefix}/{ERROR} is damaged: {damage}"
        return ErrorInfo("SYSTEM:ErrorNotReadable", text, SYSTEM, recoverable=True)
    return error._replace(code=error.code or "UnknownError")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a signal"
