"""flytekit's path of tasks that are no Python function: `extras.tasks.shell`, `extras.sqlite3.task`."""
