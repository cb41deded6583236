"""What the body of a dynamic task asks for, once it has run with real values."""

from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import (
    Container,
    DynamicJob,
    StartedLaunchPlan,
    TaskTemplate,
    WorkflowTemplate,
)
from flyte_nb.sdk import context
from flyte_nb.sdk.closure import reachable
from flyte_nb.sdk.entity import entity_name
from flyte_nb.sdk.finishing import bind_outputs, check_ids
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.node_drafts import finished
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.templates import task_template
from flyte_nb.sdk.tracing import TracingFrame
from flyte_nb.sdk.workflow import Trace, Workflow

if TYPE_CHECKING:
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry

PREFIX = "d"
"""Begins the ids of its nodes: `dn0`, `dn1`, … as flytekit has them."""

NO_IMAGE = ""
"""The image of templates here; only the host knows it."""


class Expansion(NamedTuple):
    """What came of a body: a job, or the value that it returned when it called nothing."""

    job: "DynamicJob | None"
    value: Any
    launch_plans: "tuple[StartedLaunchPlan, ...]" = ()
    """Every launch plan that a node starts, each once. The job has no registered versions of them."""


def expand(
    task: "Task",
    arguments: "dict[str, Any]",
    registry: "Registry",
    scope: Scope,
    *,
    version: str,
    data: "DataAccess | None" = None,
) -> Expansion:
    """Run the body once; calls in it become nodes.

    Args:
        task: the dynamic task.
        arguments: its inputs, real values.
        registry: the types.
        scope: where what it calls is named.
        version: of everything that it calls.
        data: where constants that need a file are stored.

    Raises:
        CompileFailed: with every problem of what it put together.
        BaseException: whatever the body raises.
    """
    frame = TracingFrame(entity_name(task, scope), registry, scope, lambda entity: version, data)
    token = context.frame.set(frame)
    try:
        value = run_to_end(task.function(**arguments))
    finally:
        context.frame.reset(token)
    if not frame.drafts:
        return Expansion(None, value)
    outputs = bind_outputs(frame, task, task.signature(registry), value, PREFIX)
    check_ids(frame)
    below = _Below(registry, scope, version, data)
    try:
        below.collect(frame.entities)
    except CompileFailed as error:
        below.problems.extend(error.problems)
    problems = [*map(renamed, frame.problems), *below.problems]
    if problems:
        raise CompileFailed(f"What {task.short_name} puts together does not compile.", problems)
    job = DynamicJob(
        nodes=finished(frame.drafts, PREFIX),
        outputs=outputs,
        tasks=tuple(below.tasks),
        sub_workflows=tuple(below.workflows),
        mapped=below.mapped,
    )
    return Expansion(job, value, tuple(below.launch_plans))


class _Below:
    """Templates of everything that nodes refer to, at any depth."""

    def __init__(
        self, registry: "Registry", scope: Scope, version: str, data: "DataAccess | None"
    ) -> None:
        self._registry = registry
        self._scope = scope
        self._version = version
        self._data = data
        self.tasks: list[TaskTemplate] = []
        self.workflows: list[WorkflowTemplate] = []
        self.launch_plans: list[StartedLaunchPlan] = []
        self.mapped: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.problems: list[Problem] = []

    def collect(self, entities: "tuple[Definition, ...]") -> None:
        """Note what the entities are made of, and what is wrong with it."""
        traces: dict[int, Trace] = {}

        def trace(workflow: Workflow) -> Trace:
            found = workflow.trace(
                self._registry, self._scope, lambda entity: self._version, data=self._data
            )
            traces[id(workflow)] = found
            return found

        # What a launch plan launches is an execution of its own, and no part of this one.
        for entity in reachable(entities, self._registry, self._scope, trace=trace, launched=False):
            if isinstance(entity, AnyTask):
                self._task(entity)
            elif isinstance(entity, Workflow):
                made = traces[id(entity)]
                self.problems.extend(made.problems)
                id_ = made.template.id._replace(version=self._version)
                self.workflows.append(made.template._replace(id=id_))
            elif isinstance(entity, LaunchPlan):
                self._launch_plan(entity)

    def _task(self, task: AnyTask) -> None:
        problems = task.problems(self._registry)
        if problems:
            self.problems.extend(problems)
            return
        template = task_template(
            task,
            self._scope,
            self._registry,
            version=self._version,
            container=Container(NO_IMAGE),
        )
        self.tasks.append(template)
        if task.original is not task:
            original = entity_name(task.original, self._scope)
            self.mapped[template.id.name] = (original, task.list_inputs(self._registry))

    def _launch_plan(self, launch_plan: LaunchPlan) -> None:
        signature = launch_plan.signature(self._registry)
        interface = signature.interface
        inputs = {
            name: variable
            for name, variable in interface.inputs.items()
            if name not in launch_plan.fixed_inputs
        }
        self.launch_plans.append(
            StartedLaunchPlan(
                name=entity_name(launch_plan, self._scope),
                interface=interface._replace(inputs=inputs),
                required=tuple(name for name in inputs if name not in signature.defaults),
            )
        )


def renamed(problem: Problem) -> Problem:
    """Return the problem with the node's final id: in the frame it has none yet."""
    if problem.node_id[:1] == "n" and problem.node_id[1:].isdigit():
        return problem._replace(node_id=PREFIX + problem.node_id)
    return problem
