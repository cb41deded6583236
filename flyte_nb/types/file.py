"""flytekit's path of `FlyteFile`."""

from flyte_nb.types.files import FlyteFile as FlyteFile
