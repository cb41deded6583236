"""`@dynamic`: a task whose body sees real values, and makes nodes that follow from them."""

from collections.abc import Callable, Iterable
from typing import Any

from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.task import Task, TaskOptions, recorded_options


class DynamicTask(Task):
    """A task that makes a workflow where it runs. `.function` is what the author wrote.

    `node_dependency_hints` are entities that have to be registered before it, though nothing before
    the run shows that it calls them, e.g. launch plans.
    """

    noun = "dynamic task"
    is_dynamic = True

    def __init__(
        self,
        function: "Callable[..., Any]",
        options: TaskOptions,
        node_dependency_hints: "Iterable[Definition]" = (),
    ) -> None:
        super().__init__(function, options)
        self.node_dependency_hints = tuple(node_dependency_hints)

    def __setstate__(self, state: "dict[str, Any]") -> None:
        self.__init__(state["function"], state["options"])  # type: ignore[misc]  # a pickled task keeps no hints


def dynamic(function: "Callable[..., Any] | None" = None, **options: Any) -> Any:
    """Make a function a dynamic task: `@dynamic` or `@dynamic(retries=2)`.

    Its inputs are real values where it runs, so it may loop over them and branch on them. Calls of
    tasks, workflows and launch plans in it do not run at once: they become nodes of a workflow that
    runs in its place, and what it returns may be made of their outputs. Called here, outside of a
    run, its calls become nodes too, and run in this process when the body has ended.

    Args:
        function: the function, when it is used without options.
        **options: those of `@task`, and `node_dependency_hints`: entities that it calls and that
            have to be registered before it.

    Raises:
        UsageError: an option is unknown or has a value that it cannot have.
    """
    hints = tuple(options.pop("node_dependency_hints", None) or ())
    recorded = recorded_options("@dynamic", options)
    if function is not None:
        return DynamicTask(function, recorded, hints)

    def decorate(function: "Callable[..., Any]") -> DynamicTask:
        return DynamicTask(function, recorded, hints)

    return decorate
