"""Read the compiled workflows that dynamic tasks made."""

from flyteidl.core import compiler_pb2
from google.protobuf.message import DecodeError

from flyte_nb.admin.refused import Refused
from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore


def dynamic_closure(blobs: BlobStore, uri: str) -> compiler_pb2.CompiledWorkflowClosure:
    """Return the compiled workflow at `uri`.

    Raises:
        Refused: `INTERNAL`, in FlyteAdmin's words, when it cannot be read.
    """
    try:
        return compiler_pb2.CompiledWorkflowClosure.FromString(blobs.read(uri))
    except (StorageError, DecodeError) as error:
        raise Refused(
            "INTERNAL", f"Unable to read WorkflowClosure from location {uri} : {error}"
        ) from error
