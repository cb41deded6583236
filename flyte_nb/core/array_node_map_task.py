"""flytekit's path of `map_task`."""

from flyte_nb.sdk.kinds.map_task import map_task as map_task
