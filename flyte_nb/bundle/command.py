"""The command that a task's container runs."""


def task_args(task_name: str, index_uri: str) -> "tuple[str, ...]":
    """The container's arguments; propeller fills the templates in (flyte-backend.md, 4.1)."""
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
        "--index-file-location",
        index_uri,
    )
