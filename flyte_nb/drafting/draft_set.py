"""`DraftSet`: the drafts made so far, and what is registered. References are looked up in it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core import interface_pb2
from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflowClosure
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import (
    LaunchPlanInterface,
    check_launchable,
    check_options,
    compile_task,
    compile_workflow,
)
from flyte_nb.drafting.draft import Draft, Name
from flyte_nb.drafting.specs.spec_problems import expected_inputs
from flyte_nb.wire.identifiers import identifier_from_idl, identifier_to_idl


class DraftSet:
    """What the drafts of one set refer to: each other, and what is registered."""

    def __init__(self) -> None:
        self.all: list[Draft] = []
        """Every draft, in an order in which they can be registered."""
        self.named: dict[Name, Draft] = {}
        """Drafts by name. A spec replaces an entity of the SDK of the same name."""
        self._places: dict[int, int] = {}
        self.registered: Mapping[Identifier, Any] = {}
        """flyteidl's `Task`, `Workflow` or `LaunchPlan` by id; under an id without a version, the newest."""
        self._tasks: dict[Identifier, CompiledTask] = {}
        self._launch_plans: dict[Identifier, LaunchPlanInterface] = {}

    def add(self, draft: Draft) -> None:
        """Add a draft; it replaces the earlier draft of the same entity, and keeps its place."""
        place = self._places.get(id(draft.entity))
        if place is None:
            self._places[id(draft.entity)] = len(self.all)
            self.all.append(draft)
        else:
            self.all[place] = draft
        self.named[draft.name] = draft

    def take(self, other: "DraftSet") -> None:
        """Add the drafts of another set whose names are new here, and the tasks they are compiled with."""
        for draft in other.all:
            if draft.name not in self.named:
                self.add(draft)
        for id, task in other._tasks.items():
            self._tasks.setdefault(id, task)

    def find(self, id: Identifier) -> "Draft | None":
        """Return the draft that `id` refers to: of its version, or of any version when it names none."""
        draft = self.named.get(id[:4])
        return draft if draft is not None and id.version in ("", draft.id.version) else None

    def known(self, id: Identifier) -> Any:
        """Return what is registered under `id`; `None` when nothing is, or when it was not looked up."""
        if id in self.registered:
            return self.registered[id]
        newest = self.registered.get(id._replace(version=""))
        return newest if newest is not None and newest.id.version == id.version else None

    def declare(
        self, id: Identifier, interface: interface_pb2.TypedInterface, inputs: "Collection[str]"
    ) -> None:
        """Take what is registered under `id` to have this interface, as far as that is not known here.

        Args:
            id: a task's or a launch plan's.
            interface: its inputs and outputs.
            inputs: the inputs that have to be given.
        """
        if self.known(id) is not None:
            return
        if id.resource_type == TASK:
            template = TaskTemplate(id=identifier_to_idl(id), interface=interface)
            self._tasks[id] = CompiledTask(template=template)
            return
        parameters = interface_pb2.ParameterMap()
        for name, variable in interface.inputs.variables.items():
            parameters.parameters[name].var.CopyFrom(variable)
            parameters.parameters[name].required = name in inputs
        self._launch_plans[id] = LaunchPlanInterface(parameters, interface.outputs)

    def check_task(self, id: Identifier, message: TaskSpec) -> "tuple[Problem, ...]":
        """Compile a task, keep the result for the workflows that run it, and return its problems."""
        try:
            self._tasks[id] = compile_task(message.template)
        except CompileFailed as error:
            return tuple(error.problems)
        return ()

    def check_workflow(
        self, message: WorkflowSpec, uses: "Iterable[Identifier]"
    ) -> "tuple[CompiledWorkflowClosure | None, tuple[Problem, ...]]":
        """Compile a workflow, and return its closure when it compiles, and every problem.

        Args:
            message: the workflow with all that run inside of it.
            uses: everything that it refers to, at any depth.
        """
        ids = sorted(set(uses))
        tasks = [self._task(id) for id in ids if id.resource_type == TASK]
        plans = {id: self._launch_plan(id) for id in ids if id.resource_type == LAUNCH_PLAN}
        try:
            closure = compile_workflow(
                message.template,
                list(message.sub_workflows),
                [task for task in tasks if task is not None],
                {str(id): plan for id, plan in plans.items() if plan is not None},
            )
        except CompileFailed as error:
            return None, (*error.problems, *check_options(message.template))
        return closure, tuple(check_launchable(closure))

    def interface_of(self, workflow: Identifier) -> "interface_pb2.TypedInterface | None":
        """Return the interface of a workflow that is whole or registered, else `None`."""
        draft = self.named.get(workflow[:4])
        if draft is not None and draft.id == workflow and draft.message is not None:
            found: interface_pb2.TypedInterface = draft.message.template.interface
            return found
        known = self.known(workflow)
        return known.closure.compiled_workflow.primary.template.interface if known else None

    def _task(self, id: Identifier) -> "CompiledTask | None":
        if id not in self._tasks and (known := self.known(id)) is not None:
            self._tasks[id] = CompiledTask(template=known.closure.compiled_task.template)
        return self._tasks.get(id)

    def _launch_plan(self, id: Identifier) -> "LaunchPlanInterface | None":
        found = self._launch_plans.get(id)
        if found is None:
            found = self._interface(id)
            if found is not None:
                self._launch_plans[id] = found
        return found

    def _interface(self, id: Identifier) -> "LaunchPlanInterface | None":
        """Return what a launch of a launch plan takes and gives."""
        draft = self.named.get(id[:4])
        if draft is not None and draft.id == id and draft.message is not None:
            of_workflow = self.interface_of(identifier_from_idl(draft.message.workflow_id))
            if of_workflow is None:
                return None
            return LaunchPlanInterface(
                expected_inputs(of_workflow, draft.message), of_workflow.outputs
            )
        known = self.known(id)
        if known is None:
            return None
        return LaunchPlanInterface(known.closure.expected_inputs, known.closure.expected_outputs)
