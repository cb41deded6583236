"""flytekit's path of `get_reference_entity`."""

from flyte_nb.sdk.references import get_reference_entity as get_reference_entity
