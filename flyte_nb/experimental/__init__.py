"""flytekit's path of what was tried there first: `from flyte_nb.experimental import map_task`.

The room only gives names of this SDK. It travels in the ring, because the modules of an author import by
this path where a task runs. It may import from `sdk`. Start reading at `sdk/kinds/map_task.py`.
"""

from flyte_nb.sdk.kinds.map_task import map_task as map_task
