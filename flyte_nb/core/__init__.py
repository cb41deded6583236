"""flytekit's module paths: code that imports `flytekit.core.…` runs after changing that word.

Each module only gives names of this SDK; what they do is in `sdk` and `types`. The room travels in the ring,
because the modules of an author import by these paths where a task runs. It may import from `sdk` and below.
Start reading at `sdk`.
"""
