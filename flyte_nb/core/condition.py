"""flytekit's path of `conditional`."""

from flyte_nb.sdk.branches import conditional as conditional
