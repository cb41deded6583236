"""The command that a task's container runs."""

from collections.abc import Iterable

_INDEX = "--index-file-location"


def task_args(task_name: str, index_uri: str, mapped: "tuple[str, ...]" = ()) -> "tuple[str, ...]":
    """The container's arguments; propeller fills the templates in (flyte-backend.md, 4.1).

    Args:
        task_name: the task's registered name; of a map, the name of the task that is mapped.
        index_uri: where the bundle's index is; empty before it is staged, see `with_index_uri`.
        mapped: of a map, the inputs of which each element takes one item.
    """
    return (
        "flyte-nb",
        "execute",
        "--task",
        task_name,
        "--inputs",
        "{{.input}}",
        "--output-prefix",
        "{{.outputPrefix}}",
        "--raw-output-data-prefix",
        "{{.rawOutputDataPrefix}}",
        "--checkpoint-path",
        "{{.checkpointOutputPrefix}}",
        "--prev-checkpoint",
        "{{.prevCheckpointPrefix}}",
        *(("--mapped", ",".join(mapped)) if mapped else ()),
        _INDEX,
        index_uri,
    )


def with_index_uri(args: "Iterable[str]", index_uri: str) -> "list[str]":
    """Return the arguments of `task_args` with another location of the index."""
    changed = list(args)
    changed[changed.index(_INDEX) + 1] = index_uri
    return changed
