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
    from collections.abc import Mapping

    from flyte_nb.api.literals import Literal
    from flyte_nb.api.ports import DataAccess, Runner
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
    signature = signature_of(task, registry)
    arguments = decode(task, signature, inputs, data)
    scope = _scope(task, name, env)
    version = env.get("FLYTE_INTERNAL_TASK_VERSION") or UNVERSIONED

    def expanded(**given: Any) -> Expansion:
        try:
            return expand(task, given, registry, scope, version=version, data=data)
        except CompileFailed as error:
            raise TaskFailed(ErrorInfo("USER:DynamicCompileFailed", str(error), USER)) from error

    found: Expansion = carried_out(expanded, arguments, runner)
    if found.job is None:
        outputs = encode(task, signature, found.value, data)
        return {"kind": "outputs", "outputs": {var: to_plain(it) for var, it in outputs.items()}}
    own = task_template(task, scope, registry, version=version)
    message = {"kind": "dynamic", "job": spec_to_plain(found.job), "task": spec_to_plain(own)}
    if found.launch_plans:
        message["launch_plans"] = spec_to_plain(found.launch_plans)
    return message


def _scope(task: "Task", name: str, env: "Mapping[str, str]") -> Scope:
    """Return the scope in which the task is registered, and so the tasks that it calls.

    The notebook's name is not in the bundle. It is what the registered name has before the function's name.
    """
    usual = Scope()
    main_module = usual.main_module
    if task.module == MAIN_MODULE and name.endswith("." + task.short_name):
        main_module = name[: -len(task.short_name) - 1]
    return Scope(
        env.get("FLYTE_INTERNAL_TASK_PROJECT") or usual.project,
        env.get("FLYTE_INTERNAL_TASK_DOMAIN") or usual.domain,
        main_module,
    )
