"""The command that a task's container runs."""


def task_args(task_name: str, index_uri: str, mapped: "tuple[str, ...]" = ()) -> "tuple[str, ...]":
    """The container's arguments; propeller fills the templates in (flyte-backend.md, 4.1).

    Args:
        task_name: the task's registered name; of a map, the name of the task that is mapped.
        index_uri: where the bundle's index lies.
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
        "--index-file-location",
        index_uri,
    )
