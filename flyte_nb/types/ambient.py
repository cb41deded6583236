"""What the code that runs now can use, for values that an author makes without a codec's call.

`FlyteFile("s3://…").open()` in a task's body has no `DataAccess` of a call. The attempt that runs has one, as
has a notebook's session. Both are known on floors above, so they are found by name.
"""

from importlib import import_module
from typing import Any

from flyte_nb.api.ports import DataAccess


def data_access() -> "DataAccess | None":
    """Return what moves files for the task or notebook that runs; `None` where nothing does."""
    found: DataAccess | None = import_module("flyte_nb.sdk.context").data_access()
    return found


def current_context() -> Any:
    """Return the run that the calling task is part of; see `flyte_nb.current_context`."""
    return import_module("flyte_nb.sdk.execution_context").current_context()
