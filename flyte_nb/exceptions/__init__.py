"""flytekit's paths of the errors that an author raises or catches: `exceptions.user`.

Each module only gives names of this SDK. The room travels in the ring, because the modules of an author
import by these paths where a task runs. It may import from `api`. Start reading at `api/errors.py`.
"""
