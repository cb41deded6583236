"""flytekit's path of `task`, `Echo`."""

from flyte_nb.sdk.kinds.echo import Echo as Echo
from flyte_nb.sdk.task import task as task
