"""Where the engine puts files, named as propeller names them."""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import fnv32a


def shard(text: str) -> str:
    """Two base-36 digits that spread raw data over a store's prefixes."""
    first, second = divmod(fnv32a(text) % 1296, 36)
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[first] + digits[second]


def raw_folder(prefix: str, execution: ExecutionId, node_id: str, attempt: int) -> str:
    """Return where one attempt puts files: `<prefix>/<2 digits>/<project>/<domain>/<name>/<node>/<attempt>`.

    Propeller joins name, node and attempt by `-` and leaves the project out, so that two attempts
    may write to one folder there.
    """
    place = "/".join((*execution, node_id, str(attempt)))
    return f"{prefix.rstrip('/')}/{shard(place)}/{place}"
