"""flytekit's path of `HashMethod`."""

from flyte_nb.types.annotations import HashMethod as HashMethod
