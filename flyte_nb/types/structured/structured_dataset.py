"""flytekit's path of `StructuredDataset`."""

from flyte_nb.types.datasets import StructuredDataset as StructuredDataset
