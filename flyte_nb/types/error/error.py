"""flytekit's path of `FlyteError`."""

from flyte_nb.types.flyte_error import FlyteError as FlyteError
