"""Run a dynamic task's body in the worker, and describe the nodes that it created for the host."""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import MAIN_MODULE, Scope
from flyte_nb.api.literals import to_plain
from flyte_nb.api.plain_specs import spec_to_plain
from flyte_nb.sdk.expansion import Expansion, expand
from flyte_nb.sdk.templates import task_template
from flyte_nb.worker.steps import carried_out, decode, encode, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyte_nb.api.literals import Literal
    from flyte_nb.api.ports import DataAccess, Runner
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry

UNVERSIONED = "dynamic"
"""The version of the tasks that it calls, where the environment has no version of its own."""


def answer(
    task: "Task",
    inputs: "dict[str, Literal]",
    registry: "Registry",
    data: "DataAccess",
    runner: "Runner",
    *,
    name: str,
    env: "Mapping[str, str]",
) -> "dict[str, Any]":
    """Run the body and return the worker's last message.

    The message is `dynamic` with the nodes, or `outputs` when the body called nothing.

    Args:
        task: the dynamic task.
        inputs: its inputs by variable.
        registry: finds the codecs.
        data: moves files.
        runner: its `context` is what `current_context()` returns.
        name: the task's registered name.
        env: the variables that FlytePropeller sets.

    Raises:
        TaskFailed: for every failure except an interrupt of the process.
    """
    usual = Scope()
    scope = scope_of(
        task,
        name,
        env.get("FLYTE_INTERNAL_TASK_PROJECT") or usual.project,
        env.get("FLYTE_INTERNAL_TASK_DOMAIN") or usual.domain,
    )
    version = env.get("FLYTE_INTERNAL_TASK_VERSION") or UNVERSIONED
    found = expanded(task, inputs, registry, data, runner, scope, lambda entity: version)
    if found.job is None:
        outputs = encode(task, signature_of(task, registry), found.value, data)
        return {"kind": "outputs", "outputs": {var: to_plain(it) for var, it in outputs.items()}}
    # The compiler has to know this task's outputs, which the new nodes must produce.
    own = task_template(task, scope, registry, version=version)
    message = {"kind": "dynamic", "job": spec_to_plain(found.job), "task": spec_to_plain(own)}
    if found.launch_plans:
        message["launch_plans"] = spec_to_plain(found.launch_plans)
    return message


def expanded(
    task: "Task",
    inputs: "dict[str, Literal]",
    registry: "Registry",
    data: "DataAccess | None",
    runner: "Runner",
    scope: Scope,
    version_of: "Callable[[Definition], str]",
) -> Expansion:
    """Run the body on literals, and return the nodes that its calls made.

    Args:
        task: the dynamic task.
        inputs: its inputs by variable.
        registry: finds the codecs.
        data: moves files; `None` where there is no store.
        runner: its `context` is what `current_context()` returns.
        scope: the names of what it calls.
        version_of: returns the version of what it calls.

    Raises:
        TaskFailed: for every failure except an interrupt of the process.
    """
    __tracebackhide__ = True
    arguments = decode(task, signature_of(task, registry), inputs, data)

    def made(**given: Any) -> Expansion:
        try:
            return expand(task, given, registry, scope, version_of=version_of, data=data)
        except CompileFailed as error:
            raise TaskFailed(ErrorInfo("USER:DynamicCompileFailed", str(error), USER)) from error

    found: Expansion = carried_out(made, arguments, runner)
    return found


def scope_of(task: "Task", name: str, project: str, domain: str) -> Scope:
    """Return the scope in which the task is registered, and so the tasks that it calls.

    The notebook's name is not in the bundle. It is what the registered name has before the function's name.
    """
    main_module = Scope().main_module
    if task.module == MAIN_MODULE and name.endswith("." + task.short_name):
        main_module = name[: -len(task.short_name) - 1]
    return Scope(project, domain, main_module)
