"""flytekit's path of `Cache`."""

from flyte_nb.sdk.options import Cache as Cache
