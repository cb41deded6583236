"""flytekit's paths of tasks that are no Python function: `extras.tasks.shell`, `extras.sqlite3.task`.

Each module only gives names of this SDK. The room travels in the ring, as `core` does. Start reading at
`sdk/kinds`.
"""
