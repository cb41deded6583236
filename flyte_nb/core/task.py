"""flytekit's path of `task`."""

from flyte_nb.sdk.task import task as task
