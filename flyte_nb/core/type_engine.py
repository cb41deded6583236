"""flytekit's path of `BatchSize`."""

from flyte_nb.types.annotations import BatchSize as BatchSize
