"""flytekit's path of phases."""
