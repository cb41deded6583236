"""flytekit's path of `ContainerTask`."""

from flyte_nb.sdk.kinds.container import ContainerTask as ContainerTask
