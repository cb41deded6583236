"""flytekit's path of `JSON` and `JSONIterator`."""

from flyte_nb.types.iterators import JSON as JSON
from flyte_nb.types.iterators import JSONIterator as JSONIterator
