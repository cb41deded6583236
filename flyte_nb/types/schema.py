"""flytekit's path of `FlyteSchema`."""

from flyte_nb.types.schemas import FlyteSchema as FlyteSchema
