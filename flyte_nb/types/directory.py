"""flytekit's path of `FlyteDirectory`."""

from flyte_nb.types.files import FlyteDirectory as FlyteDirectory
