"""Where the engine puts files, named as propeller names them."""

from flyte_nb.api.nodes import fixed_length_id, fnv32a


def shard(text: str) -> str:
    """Two base-36 digits that spread raw data over a store's prefixes."""
    first, second = divmod(fnv32a(text) % 1296, 36)
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[first] + digits[second]


def raw_folder(prefix: str, execution: str, node_id: str, attempt: int) -> str:
    """Where one attempt puts files: `<prefix>/<2 digits>/<execution>-<node>-<attempt>`."""
    name = fixed_length_id(f"{execution}-{node_id}-{attempt}", 50)
    return f"{prefix.rstrip('/')}/{shard(name)}/{name}"
