"""flytekit's paths of the values that launch plans take, e.g. `models.common.Labels`.

Each module only gives names of this SDK. The room travels in the ring, because the modules of an author
import by these paths where a task runs. It may import from `sdk` and below. Start reading at `sdk`.
"""
