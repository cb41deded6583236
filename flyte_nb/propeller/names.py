"""Names of the folders for raw data: the files that values refer to.

Source: flytepropeller's `ioutils.NewShardedRawOutputPath` at v1.16.8.
"""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import fnv32a


def shard(text: str) -> str:
    """Return two base-36 digits for a name.

    Object stores limit the requests per prefix, and these digits spread raw data over 1,296 prefixes.
    """
    first, second = divmod(fnv32a(text) % 1296, 36)
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[first] + digits[second]


def raw_folder(prefix: str, execution: ExecutionId, node_id: str, attempt: int) -> str:
    """Return the folder `<prefix>/<2 digits>/<project>/<domain>/<name>/<node>/<attempt>` of one attempt.

    Propeller joins name, node and attempt by `-` and leaves out the project, so there two attempts may
    write to the same folder.
    """
    place = "/".join((*execution, node_id, str(attempt)))
    return f"{prefix.rstrip('/')}/{shard(place)}/{place}"
