"""What can be listed: each noun's table, columns and joins, as the filter grammar names them.

To list, filter and sort a noun, one entry here is enough.
Source: flyteadmin/pkg/repositories/models, flyteadmin/pkg/manager/impl/util/filters.go at v1.16.8.
"""

from collections.abc import Mapping
from typing import NamedTuple

_ROW = frozenset({"id", "created_at", "updated_at", "deleted_at"})
_KEY = frozenset({"project", "domain", "name", "version"})
_RUN = frozenset({"execution_project", "execution_domain", "execution_name"})
_TIMES = frozenset({"created_at", "updated_at", "deleted_at", "started_at"})


class Resource(NamedTuple):
    """One noun."""

    code: str
    """FlyteAdmin's short word for it in error texts."""
    table: str
    columns: frozenset[str]
    joins: Mapping[str, str] = {}
    """The nouns whose columns a filter may name as `noun.column`, each with its join condition."""
    times: frozenset[str] = _TIMES
    """Columns that hold times."""
    is_run: bool = False
    """Whether project, domain and name of a filter mean the execution's."""


def _run_join(table: str, other: str) -> str:
    return " AND ".join(
        f"{table}.execution_{part} = {other}.execution_{part}"
        for part in ("project", "domain", "name")
    )


TASK = Resource("t", "tasks", _ROW | _KEY | {"digest", "type", "short_description"})
WORKFLOW = Resource("w", "workflows", _ROW | _KEY | {"digest", "short_description"})
LAUNCH_PLAN = Resource(
    "l",
    "launch_plans",
    _ROW | _KEY | {"workflow_id", "state", "digest", "schedule_type", "launch_condition_type"},
    joins={"workflow": "launch_plans.workflow_id = workflows.id"},
)
EXECUTION = Resource(
    "e",
    "executions",
    _ROW
    | _RUN
    | {"launch_plan_id", "workflow_id", "task_id", "phase", "started_at", "execution_created_at"}
    | {"execution_updated_at", "duration", "abort_cause", "mode", "source_execution_id"}
    | {"parent_node_execution_id", "cluster", "inputs_uri", "user_inputs_uri", "error_kind"}
    | {"error_code", "user", "state", "launch_entity"},
    joins={
        "launch_plan": "executions.launch_plan_id = launch_plans.id",
        "workflow": "executions.workflow_id = workflows.id",
        "task": "executions.task_id = tasks.id",
        "admin_tag": _run_join("executions", "execution_tags"),
        "execution_tag": _run_join("executions", "execution_tags"),
    },
    times=_TIMES | {"execution_created_at", "execution_updated_at"},
    is_run=True,
)
NODE_EXECUTION = Resource(
    "ne",
    "node_executions",
    _ROW
    | _RUN
    | {"node_id", "phase", "input_uri", "started_at", "node_execution_created_at", "duration"}
    | {"node_execution_updated_at", "parent_id", "parent_task_execution_id", "error_kind"}
    | {"error_code", "cache_status", "dynamic_workflow_remote_closure_reference"},
    joins={"execution": _run_join("node_executions", "executions")},
    times=_TIMES | {"node_execution_created_at", "node_execution_updated_at"},
    is_run=True,
)
TASK_EXECUTION = Resource(
    "te",
    "task_executions",
    _ROW
    | _KEY
    | _RUN
    | {"node_id", "retry_attempt", "phase", "phase_version", "input_uri", "started_at"}
    | {"task_execution_created_at", "task_execution_updated_at", "duration"},
    joins={
        "task": " AND ".join(
            f"task_executions.{part} = tasks.{part}"
            for part in ("project", "domain", "name", "version")
        ),
        "execution": _run_join("task_executions", "executions"),
        "node_execution": _run_join("task_executions", "node_executions")
        + " AND task_executions.node_id = node_executions.node_id",
    },
    times=_TIMES | {"task_execution_created_at", "task_execution_updated_at"},
    is_run=True,
)
SIGNAL = Resource("s", "signals", _ROW | _RUN | {"signal_id", "type", "value"}, is_run=True)
PROJECT = Resource("p", "projects", _ROW | {"identifier", "name", "description", "labels", "state"})
ENTITIES = Resource(
    "nen",
    "entities",
    _ROW | {"resource_type", "project", "domain", "name", "description", "state"},
)
EXECUTION_TAG = Resource("et", "execution_tags", _ROW | _RUN | {"key", "value"})
ADMIN_TAG = Resource("at", "execution_tags", _ROW | {"name"})

RESOURCES: Mapping[str, Resource] = {
    "task": TASK,
    "workflow": WORKFLOW,
    "launch_plan": LAUNCH_PLAN,
    "execution": EXECUTION,
    "node_execution": NODE_EXECUTION,
    "task_execution": TASK_EXECUTION,
    "entities": ENTITIES,
    "named_entity_metadata": ENTITIES,
    "project": PROJECT,
    "signal": SIGNAL,
    "admin_tag": ADMIN_TAG,
    "execution_tag": EXECUTION_TAG,
}
"""By the prefix that a field of a filter may have, e.g. `launch_plan.name`."""

FOREIGN_CODES: Mapping[str, str] = {"execution_admin_tag": "eat"}
"""Prefixes that FlyteAdmin knows and allows nowhere, with its short words for them."""
