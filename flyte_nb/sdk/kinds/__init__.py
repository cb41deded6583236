"""Kinds of tasks that are more than one call of a function: `dynamic`, and `map_task` with its `mapping`."""
