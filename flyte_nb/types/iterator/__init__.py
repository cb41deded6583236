"""flytekit's path of `JSON`, the type of the items in `Iterator[JSON]`."""

from flyte_nb.types.iterators import JSON as JSON
from flyte_nb.types.iterators import FlyteIterator as FlyteIterator
