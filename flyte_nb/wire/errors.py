"""`api` errors <-> flyteidl/core/errors.proto, and the bytes of `error.pb`."""

from flyteidl.core import errors_pb2, execution_pb2
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, CodecError, ErrorInfo

_ORIGINS = {
    UNKNOWN: execution_pb2.ExecutionError.UNKNOWN,
    USER: execution_pb2.ExecutionError.USER,
    SYSTEM: execution_pb2.ExecutionError.SYSTEM,
}
_ORIGIN_NAMES = {number: name for name, number in _ORIGINS.items()}


def error_document_to_idl(info: ErrorInfo) -> errors_pb2.ErrorDocument:
    """The failure as the message that `error.pb` holds; an unknown origin is `UNKNOWN`."""
    document = errors_pb2.ErrorDocument()
    error = document.error
    error.code = info.code
    # Messages quote users' data: what UTF-8 cannot hold must not hide the failure.
    error.message = info.message.encode("utf-8", "replace").decode("utf-8")
    error.kind = (
        errors_pb2.ContainerError.RECOVERABLE
        if info.recoverable
        else errors_pb2.ContainerError.NON_RECOVERABLE
    )
    error.origin = _ORIGINS.get(info.origin, execution_pb2.ExecutionError.UNKNOWN)
    return document


def error_document_from_idl(document: errors_pb2.ErrorDocument) -> ErrorInfo:
    """The failure in the message; an unknown origin is `UNKNOWN`."""
    error = document.error
    return ErrorInfo(
        code=error.code,
        message=error.message,
        origin=_ORIGIN_NAMES.get(error.origin, UNKNOWN),
        recoverable=error.kind == errors_pb2.ContainerError.RECOVERABLE,
    )


def error_document_from_bytes(data: bytes) -> ErrorInfo:
    """The failure in an `error.pb`; `CodecError` when the file is something else."""
    try:
        return error_document_from_idl(errors_pb2.ErrorDocument.FromString(data))
    except DecodeError as error:
        raise CodecError(f"error.pb cannot be read: {error}.") from None


def execution_error_to_idl(info: ErrorInfo, error_uri: str = "") -> execution_pb2.ExecutionError:
    """The failure as `core.ExecutionError`, which closures and events carry."""
    return execution_pb2.ExecutionError(
        code=info.code,
        message=info.message,
        error_uri=error_uri,
        kind=_ORIGINS.get(info.origin, execution_pb2.ExecutionError.UNKNOWN),
    )


def execution_error_from_idl(message: execution_pb2.ExecutionError) -> ErrorInfo:
    """The failure in `core.ExecutionError`; whether it is recoverable is not in it."""
    return ErrorInfo(message.code, message.message, _ORIGIN_NAMES.get(message.kind, UNKNOWN))
