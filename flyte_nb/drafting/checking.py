"""The compiler's verdict on drafts, joined with what tracing found.

Tracing knows lines and the author's words; the compiler knows the whole rule set. Where both speak of
the same node and variable, tracing's words stay and take the compiler's code and Flyte's text.
"""

from collections.abc import Iterable, Sequence

from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec as LaunchPlanMessage
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflowClosure

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import TASK, WORKFLOW, Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.api.references import references_of
from flyte_nb.api.specs import WorkflowTemplate
from flyte_nb.compiler import (
    LaunchPlanInterface,
    check_launchable,
    check_options,
    compile_task,
    compile_workflow,
)
from flyte_nb.drafting.specs.checks import expected_inputs


class Checker:
    """Compiles one set of drafts, inner ones first."""

    def __init__(self) -> None:
        self._tasks: dict[Identifier, CompiledTask] = {}
        self._launch_plans: dict[str, LaunchPlanInterface] = {}
        self._used: dict[Identifier, tuple[Identifier, ...]] = {}

    def task(self, id: Identifier, message: TaskSpec) -> "tuple[Problem, ...]":
        """Compile a task; its problems."""
        try:
            self._tasks[id] = compile_task(message.template)
        except CompileFailed as error:
            return tuple(problem._replace(entity=id.name) for problem in error.problems)
        return ()

    def launch_plan(
        self, id: Identifier, message: LaunchPlanMessage, workflow: WorkflowSpec
    ) -> None:
        """Make a launch plan known to the workflows that use it."""
        interface = workflow.template.interface
        self._launch_plans[str(id)] = LaunchPlanInterface(
            expected_inputs(interface, message), interface.outputs
        )

    def workflow(
        self, template: WorkflowTemplate, message: WorkflowSpec, found: "Sequence[Problem]"
    ) -> "tuple[CompiledWorkflowClosure | None, tuple[Problem, ...]]":
        """Compile a workflow; its closure, or every problem that tracing or compiling found."""
        references = tuple(dict.fromkeys(references_of(template)))
        self._used[template.id] = references
        tasks = [self._tasks[id] for id in self._tasks_of(references) if id in self._tasks]
        problems: Sequence[Problem] = ()
        closure = None
        try:
            closure = compile_workflow(
                message.template, list(message.sub_workflows), tasks, self._launch_plans
            )
            problems = check_launchable(closure)
        except CompileFailed as error:
            problems = (*error.problems, *check_options(message.template))
        joined = join(found, problems, template)
        return (None if joined else closure), joined

    def _tasks_of(self, references: "Iterable[Identifier]") -> "list[Identifier]":
        """Every task that runs somewhere below, each once."""
        found: dict[Identifier, None] = {}
        waiting = list(references)
        seen: set[Identifier] = set()
        while waiting:
            reference = waiting.pop()
            if reference in seen:
                continue
            seen.add(reference)
            if reference.resource_type == TASK:
                found[reference] = None
            elif reference.resource_type == WORKFLOW:
                waiting.extend(self._used.get(reference, ()))
        return sorted(found)


def join(
    traced: "Sequence[Problem]", compiled: "Sequence[Problem]", template: WorkflowTemplate
) -> "tuple[Problem, ...]":
    """Both lists as one: nothing said twice, everything with the place where it was written."""
    if not traced and not compiled:
        return ()
    places = {node.id: node.location for node in template.nodes}
    by_place = {(item.node_id, item.variable): item for item in compiled}
    joined = []
    told = set()
    for problem in traced:
        place = (problem.node_id, problem.variable)
        told.add(place)
        twin = by_place.get(place)
        if twin is not None and problem.node_id:
            problem = problem._replace(code=twin.code, flyte_text=twin.flyte_text)
        joined.append(problem)
    for problem in compiled:
        if (problem.node_id, problem.variable) in told and problem.node_id:
            continue
        if traced and not problem.variable:
            continue  # a follow-up: the trace left something out because of what it told already
        joined.append(problem)
    return tuple(
        problem._replace(
            location=problem.location or places.get(problem.node_id),
            entity=problem.entity or template.id.name,
        )
        for problem in joined
    )
