"""flytekit's path of shell tasks."""
