"""Translate failures: `api.ErrorInfo` <-> flyteidl/core/errors.proto and execution.proto, and `error.pb`."""

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
    """Return the failure as the message that `error.pb` holds; an unknown origin becomes `UNKNOWN`."""
    document = errors_pb2.ErrorDocument()
    error = document.error
    error.code = info.code
    # Messages quote users' data. Text that UTF-8 cannot hold must not hide the failure.
    error.message = info.message.encode("utf-8", "replace").decode("utf-8")
    error.kind = (
        errors_pb2.ContainerError.RECOVERABLE
        if info.recoverable
        else errors_pb2.ContainerError.NON_RECOVERABLE
    )
    error.origin = _ORIGINS.get(info.origin, execution_pb2.ExecutionError.UNKNOWN)
    return document


def error_document_from_idl(document: errors_pb2.ErrorDocument) -> ErrorInfo:
    """Return the failure in the message; an unknown origin becomes `UNKNOWN`."""
    error = document.error
    return ErrorInfo(
        code=error.code,
        message=error.message,
        origin=_ORIGIN_NAMES.get(error.origin, UNKNOWN),
        recoverable=error.kind == errors_pb2.ContainerError.RECOVERABLE,
    )


def error_document_from_bytes(data: bytes) -> ErrorInfo:
    """Return the failure in the bytes of an `error.pb`.

    Raises:
        CodecError: when `data` is no such message.
    """
    try:
        return error_document_from_idl(errors_pb2.ErrorDocument.FromString(data))
    except DecodeError as error:
        raise CodecError(f"error.pb cannot be read: {error}.") from None


def execution_error_to_idl(info: ErrorInfo, error_uri: str = "") -> execution_pb2.ExecutionError:
    """Return the failure as `core.ExecutionError`, which closures and events carry."""
    return execution_pb2.ExecutionError(
        code=info.code,
        message=info.message,
        error_uri=error_uri,
        kind=_ORIGINS.get(info.origin, execution_pb2.ExecutionError.UNKNOWN),
    )


def execution_error_from_idl(message: execution_pb2.ExecutionError) -> ErrorInfo:
    """Return the failure in `core.ExecutionError`, which does not say whether it is recoverable."""
    return ErrorInfo(message.code, message.message, _ORIGIN_NAMES.get(message.kind, UNKNOWN))
