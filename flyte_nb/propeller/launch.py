"""What an execution is started with, and the variables by which its attempts know it."""

from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.identifiers import ExecutionId, Identifier

DEFAULT_PARALLELISM = 25
"""FlyteAdmin's own default."""


class Launch(NamedTuple):
    """One execution to run. After a restart, `Engine.resume` needs an equal value again."""

    id: ExecutionId
    closure: CompiledWorkflowClosure
    inputs: LiteralMap
    """Every input of the workflow, with defaults and fixed inputs merged in."""
    raw_output_prefix: str = ""
    """URI below which tasks put files; empty means `<data_root>/raw`."""
    envs: Mapping[str, str] = {}
    """Variables for every attempt. The task's own win over them."""
    max_parallelism: int = 0
    """How many task nodes of this execution may be active at a time; 0 means 25, FlyteAdmin's default."""
    overwrite_cache: bool = False
    """Whether tasks run although their results are known, and replace them."""
    recovers: "ExecutionId | None" = None
    """The execution whose results are taken over, where a node with the same id succeeded in it."""


def environment(
    launch: Launch, workflow: Identifier, task: TaskTemplate, attempt: int
) -> dict[str, str]:
    """Return the variables that describe the attempt to its process, with the launch's own over them.

    Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/k8s_resource_adds.go at v1.16.8.
    """
    id = launch.id
    return {
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{workflow.project}:{workflow.domain}:{workflow.name}",
        "FLYTE_INTERNAL_EXECUTION_ID": id.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": id.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": id.domain,
        "FLYTE_ATTEMPT_NUMBER": str(attempt),
        "FLYTE_INTERNAL_TASK_PROJECT": task.id.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.id.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.id.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.id.version,
        **launch.envs,
    }
