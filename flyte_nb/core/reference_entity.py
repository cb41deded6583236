"""flytekit's path of `Reference`."""

from flyte_nb.sdk.references import Reference as Reference
