"""flytekit's path of `FlyteIterator`."""

from flyte_nb.types.iterators import FlyteIterator as FlyteIterator
