"""`%flyte relaunch` and `%flyte recover`: launch again what was launched before."""

from collections.abc import Callable

from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.kernel.failures import Interrupted
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import ExecutionPort


def relaunch(kernel: Kernel, arguments: Arguments) -> ExecutionPort:
    """Launch an execution again, with its inputs; return the new one, which the notebook displays.

    Raises:
        UsageError: No name was given, and nothing was launched yet.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
        Interrupted: A person interrupted the launch.
    """
    former = kernel.execution(arguments.first())
    return _launched(
        kernel,
        lambda: former.relaunch(
            arguments.options.get("execution-name"),
            overwrite_cache=arguments.switch("overwrite-cache"),
        ),
    )


def recover(kernel: Kernel, arguments: Arguments) -> ExecutionPort:
    """Launch an execution again without what succeeded in it; return the new one.

    Raises:
        UsageError: No name was given, and nothing was launched yet.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
        Interrupted: A person interrupted the launch.
    """
    former = kernel.execution(arguments.first())
    return _launched(kernel, lambda: former.recover(arguments.options.get("execution-name")))


def _launched(kernel: Kernel, launch: "Callable[[], ExecutionPort]") -> ExecutionPort:
    try:
        execution = launch()
        kernel.last_execution = execution.view().id.name
    except KeyboardInterrupt:
        raise Interrupted(
            "The launch was interrupted. %flyte executions shows whether the execution was created."
        ) from None
    return execution
