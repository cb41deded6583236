"""Write the results of an attempt below its output prefix.

The names and contents of `outputs.pb`, `futures.pb`, `error.pb` and `deck.html` are those that
propeller expects.
"""

from collections.abc import Mapping

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import BlobStore
from flyte_nb.wire.literal_bytes import literal_map_to_bytes

OUTPUTS = "outputs.pb"
FUTURES = "futures.pb"
ERROR = "error.pb"
DECK = "deck.html"


def write_outputs(store: BlobStore, prefix: str, outputs: "Mapping[str, Literal]") -> None:
    """Write the outputs. A task without outputs writes an empty map.

    Raises:
        CodecError: when a value cannot be turned into a message.
        StorageError: when the file cannot be written.
    """
    store.write(_below(prefix, OUTPUTS), literal_map_to_bytes(outputs))


def write_futures(store: BlobStore, prefix: str, spec: bytes) -> None:
    """Write the workflow that a dynamic task built.

    Raises:
        StorageError: when the file cannot be written.
    """
    store.write(_below(prefix, FUTURES), spec)


def write_error(store: BlobStore, prefix: str, info: ErrorInfo) -> None:
    """Write the failure. Propeller reads it before the outputs.

    Raises:
        StorageError: when the file cannot be written.
    """
    # Start-up: only attempts that fail need protobuf.
    from flyte_nb.wire.errors import error_document_to_idl

    store.write(_below(prefix, ERROR), error_document_to_idl(info).SerializeToString())


def write_deck(store: BlobStore, prefix: str, html: str) -> None:
    """Write the task's report.

    Raises:
        StorageError: when the file cannot be written.
    """
    store.write(_below(prefix, DECK), html.encode())


def _below(prefix: str, name: str) -> str:
    return f"{prefix.rstrip('/')}/{name}"
