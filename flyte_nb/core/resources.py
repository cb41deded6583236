"""flytekit's path of `Resources`."""

from flyte_nb.sdk.options import Resources as Resources
