"""`last_run()`: the last call of a workflow or a task in this kernel."""

from flyte_nb.api.errors import UsageError
from flyte_nb.session.local_run import LocalRun
from flyte_nb.session.session import default_runner


def last_run() -> LocalRun:
    """Return the last call of a workflow or a task in this kernel that has ended.

    Its `nodes` say how far it came. After a failure, `recover()` calls it again without what succeeded:
    put the cell that failed right, run it, and recover.

    Raises:
        UsageError: nothing was called yet.
    """
    last = default_runner().last
    if last is None:
        raise UsageError("Nothing was called in this kernel yet. Call a workflow, e.g. wf(n=3).")
    return last
