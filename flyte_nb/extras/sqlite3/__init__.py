"""flytekit's path of SQLite tasks."""
