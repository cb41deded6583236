"""Call a task with literals: decode the inputs, run the user's function, encode the outputs.

The worker process and the notebook's local executor use the same function, so that results and errors are
equal in both.
"""

from typing import TYPE_CHECKING, Any

from flyte_nb.worker.inner import InnerRunner, task_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyte_nb.api.literals import Literal
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.task import AnyTask
    from flyte_nb.types.registry import Registry


def call(
    task: "AnyTask",
    inputs: "dict[str, Literal]",
    registry: "Registry",
    data: "DataAccess | None" = None,
    *,
    runner: "InnerRunner | None" = None,
    function: "Callable[..., Any] | None" = None,
) -> "dict[str, Literal]":
    """Run `task` on `inputs` and return the outputs by variable.

    Calls of tasks in its body go through literals too, see `InnerRunner`. In the body of a dynamic task they
    return promises, as they do when it is launched.

    Args:
        task: a task of any kind.
        inputs: its inputs by variable; one with a default may be missing.
        registry: finds the codecs.
        data: moves files; `None` where there is no store.
        runner: runs the calls in its body; its `context` is what `current_context()` returns.
        function: is called in place of the task's own function, which it calls.

    Raises:
        TaskFailed: for every failure except an interrupt of the process; `info` is what `error.pb` holds.
    """
    __tracebackhide__ = True  # IPython and pytest hide frames with this variable
    return task_outputs(task, inputs, runner or InnerRunner(registry, data), function)
