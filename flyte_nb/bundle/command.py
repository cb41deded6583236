"""Write the command that a task's container runs."""

from collections.abc import Iterable

_INDEX = "--index-file-location"


def task_args(task_name: str, index_uri: str, mapped: "tuple[str, ...]" = ()) -> "tuple[str, ...]":
    """Return the container's arguments. Propeller replaces the `{{.…}}` templates in them.

    Source: flyteplugins/go/tasks/pluginmachinery/core/template/template.go at v1.16.8.

    Args:
        task_name: the task's registered name; for a map task, the name of the mapped task.
        index_uri: the location of the bundle's index; empty before it is staged, see `with_index_uri`.
        mapped: for a map task, the inputs that are lists, of which each element takes one item.
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
    """Return the arguments of `task_args` with another location of the index.

    Raises:
        ValueError: when the arguments do not come from `task_args`.
    """
    changed = list(args)
    changed[changed.index(_INDEX) + 1] = index_uri
    return changed
