"""Call a task with literals: decode the inputs, run the user's function, encode the outputs.

The same function serves the isolated worker and the local executor of a notebook, so that results
and errors are equal.
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
    """Run `task` on `inputs`; return the outputs by variable.

    Calls in its body go through literals too, see `InnerRunner`. In the body of a dynamic task they
    give promises, as they do where it is launched.

    Args:
        task: the task.
        inputs: its inputs.
        registry: the types.
        data: moves files; `None` when there are none.
        runner: carries out the calls in its body; its `context` is what `current_context()` answers.
        function: calls the task's own, in its place.

    Raises:
        TaskFailed: for everything that goes wrong but an interrupt of the process; `info` is the
            failure as `error.pb` has it.
    """
    __tracebackhide__ = True  # IPython and pytest leave such frames out of what they show
    return task_outputs(task, inputs, runner or InnerRunner(registry, data), function)
