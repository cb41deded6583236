"""What one execution is started with, and what its attempts are told about it."""

from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.identifiers import ExecutionId, Identifier

DEFAULT_PARALLELISM = 25
"""FlyteAdmin's own default."""


class Launch(NamedTuple):
    """One execution to run. After a restart `Engine.resume` wants the same value again."""

    id: ExecutionId
    closure: CompiledWorkflowClosure
    inputs: LiteralMap
    """Every input of the workflow, defaults and fixed inputs merged in."""
    raw_output_prefix: str = ""
    """Where tasks put files; empty: `<data_root>/raw`."""
    envs: Mapping[str, str] = {}
    max_parallelism: int = 0
    """Task nodes that may run at a time in this execution; 0 means 25, as FlyteAdmin's default."""
    overwrite_cache: bool = False


def environment(
    launch: Launch, workflow: Identifier, task: TaskTemplate, attempt: int
) -> dict[str, str]:
    """Variables of an attempt's process.

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
