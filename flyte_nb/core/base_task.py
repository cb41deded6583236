"""flytekit's path of `TaskMetadata`, `kwtypes`."""

from flyte_nb.sdk.options import TaskMetadata as TaskMetadata
from flyte_nb.types.annotations import kwtypes as kwtypes
