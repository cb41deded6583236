"""flytekit's path of `dynamic`."""

from flyte_nb.sdk.kinds.dynamic import dynamic as dynamic
