"""Run the body of a dynamic task with real values, and return the nodes that it asks for."""

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
from flyte_nb.sdk.entity import entity_name
from flyte_nb.sdk.finishing import bind_outputs, check_ids
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.node_drafts import finished
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.templates import task_template
from flyte_nb.sdk.tracing import TracingFrame
from flyte_nb.sdk.workflow import Trace, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry

PREFIX = "d"
"""The ids of its nodes begin with this: `dn0`, `dn1`, … as in flytekit."""

NO_IMAGE = ""
"""The image in the templates: only the host knows which one it is."""


class Expansion(NamedTuple):
    """The result of a body: a job, or the value that it returned when it called nothing."""

    job: "DynamicJob | None"
    value: Any
    launch_plans: "tuple[StartedLaunchPlan, ...]" = ()
    """Every launch plan that a node starts, each once. The job does not contain them."""
    entities: "tuple[AnyTask | LaunchPlan, ...]" = ()
    """The tasks that the job has the templates of, and the launch plans, as they are defined here."""


def expand(
    task: "Task",
    arguments: "dict[str, Any]",
    registry: "Registry",
    scope: Scope,
    *,
    version_of: "Callable[[Definition], str]",
    data: "DataAccess | None" = None,
) -> Expansion:
    """Run the body once, and return the nodes that calls in it made.

    Args:
        task: the dynamic task.
        arguments: its inputs, real values.
        registry: the types.
        scope: the names of what it calls.
        version_of: returns the version of what it calls.
        data: stores constants that need a file.

    Raises:
        CompileFailed: what the body put together has problems; it names every one.
        BaseException: whatever the body raises.
    """
    frame = TracingFrame(entity_name(task, scope), registry, scope, version_of, data)
    token = context.frame.set(frame)
    try:
        value = run_to_end(task.function(**arguments))
    finally:
        # Also when the body raises: later calls would otherwise become nodes of this frame.
        context.frame.reset(token)
    if not frame.drafts:
        return Expansion(None, value)
    # Only now, because a body that made no node returns real values, which need no bindings.
    outputs = bind_outputs(frame, task, task.signature(registry), value, PREFIX)
    check_ids(frame)
    for entity in frame.entities:
        if entity.registered_as is not None:
            frame.problem(
                "ReferenceInDynamic",
                f"{task.short_name} calls the reference {entity.short_name}, which a dynamic task cannot.",
                hint="Call it in a workflow.",
                location=entity.location,
            )
    # Problems of the body and of what it calls are raised together: a failed attempt is expensive.
    below = _Below(registry, scope, version_of, data)
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
    return Expansion(job, value, tuple(below.launch_plans), tuple(below.entities))


class _Below:
    """The templates of everything that nodes refer to, at any depth."""

    def __init__(
        self,
        registry: "Registry",
        scope: Scope,
        version_of: "Callable[[Definition], str]",
        data: "DataAccess | None",
    ) -> None:
        self._registry = registry
        self._scope = scope
        self._version_of = version_of
        self._data = data
        self.tasks: list[TaskTemplate] = []
        self.workflows: list[WorkflowTemplate] = []
        self.launch_plans: list[StartedLaunchPlan] = []
        self.entities: list[AnyTask | LaunchPlan] = []
        self.mapped: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.problems: list[Problem] = []

    def collect(self, entities: "tuple[Definition, ...]") -> None:
        """Note the templates of the entities, and every problem with them."""
        traces: dict[int, Trace] = {}

        def trace(workflow: Workflow) -> Trace:
            found = workflow.trace(self._registry, self._scope, self._version_of, data=self._data)
            traces[id(workflow)] = found
            return found

        # What a launch plan launches is an execution of its own, and no part of this one.
        for entity in reachable(entities, self._registry, self._scope, trace=trace, launched=False):
            if isinstance(entity, AnyTask):
                self._task(entity)
            elif isinstance(entity, Workflow):
                made = traces[id(entity)]
                self.problems.extend(made.problems)
                id_ = made.template.id._replace(version=self._version_of(entity))
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
            version=self._version_of(task),
            container=Container(NO_IMAGE),
        )
        self.tasks.append(template)
        self.entities.append(task)
        if task.original is not task:
            original = entity_name(task.original, self._scope)
            self.mapped[template.id.name] = (original, task.list_inputs(self._registry))

    def _launch_plan(self, launch_plan: LaunchPlan) -> None:
        self.entities.append(launch_plan)
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
