"""Look up what a workflow refers to, by id: the interfaces of tasks, launch plans and sub-workflows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyteidl.core import compiler_pb2, identifier_pb2, interface_pb2, tasks_pb2, workflow_pb2

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.compiler.casting import Type, TypeTable


class LaunchPlanInterface(NamedTuple):
    """The inputs and outputs of a launch plan (`LaunchPlanClosure.expected_inputs`, `expected_outputs`)."""

    expected_inputs: interface_pb2.ParameterMap
    expected_outputs: interface_pb2.VariableMap


class Interface(NamedTuple):
    """The types of a node's inputs and outputs, by the variable's name."""

    inputs: "dict[str, Type]"
    outputs: "dict[str, Type]"
    broken: "tuple[str, ...]" = ()
    """Names of required fields that the interface lacks, in Flyte's spelling: `paramName`, `param.Type`."""
    required: "frozenset[str]" = frozenset()
    """Names of the inputs that must get a value."""


def interface_of(
    inputs: "dict[str, Type]", outputs: "dict[str, Type]", broken: "Iterable[str]" = ()
) -> Interface:
    """Return the interface with these variables; inputs whose type allows None need no value."""
    required = frozenset(name for name, type in inputs.items() if not type.is_optional)
    return Interface(inputs, outputs, tuple(broken), required)


NO_INTERFACE = Interface({}, {})


class LaunchPlanTypes(NamedTuple):
    """The types of a launch plan's parameters and outputs."""

    parameters: "dict[str, Type]"
    required: "frozenset[str]"
    """Names of the parameters that have no default."""
    broken: "Mapping[str, str]"
    """The required field that a parameter lacks, by the parameter's name."""
    outputs: Interface


class Program:
    """Everything that one compilation knows from outside, by id, with the table of its types.

    `tasks` and `workflows` are the copies inside the closure; the compiler changes them in place.
    """

    def __init__(
        self,
        tasks: "Iterable[compiler_pb2.CompiledTask]",
        workflows: "Iterable[compiler_pb2.CompiledWorkflow]",
        launch_plans: "Mapping[str, LaunchPlanInterface]",
    ) -> None:
        self.types = TypeTable()
        self.tasks = {key(task.template.id): task.template for task in tasks}
        self.workflows = {key(workflow.template.id): workflow for workflow in workflows}
        self.launch_plans = launch_plans
        self.without_interface = frozenset(
            reference
            for reference, workflow in self.workflows.items()
            if not workflow.template.HasField("interface")
        )
        """Keys of the sub-workflows without an interface. No node may run them; only a primary
        workflow may have none."""
        # An interface is read when the first node asks for it, and then kept: many nodes run the
        # same task.
        self._tasks: dict[bytes, Interface] = {}
        self._workflows: dict[bytes, Interface] = {}
        self._launch_plans: dict[bytes, LaunchPlanTypes] = {}

    def task_interface(self, reference: bytes) -> "Interface | None":
        """Return the task's interface, or `None` when the task is not known."""
        found = self._tasks.get(reference)
        if found is None and reference in self.tasks:
            found = self._tasks[reference] = self._of_task(self.tasks[reference])
        return found

    def workflow_interface(self, reference: bytes) -> "Interface | None":
        """Return the sub-workflow's interface, or `None` when the workflow is not known."""
        found = self._workflows.get(reference)
        if found is None and reference in self.workflows:
            template = self.workflows[reference].template
            found = self._workflows[reference] = self.of_workflow(template)
        return found

    def of_workflow(self, template: workflow_pb2.WorkflowTemplate) -> Interface:
        """Return the interface of a workflow's template; a missing interface counts as an empty one."""
        return self._of_message(template.interface)

    def launch_plan(
        self, identifier: identifier_pb2.Identifier, reference: bytes
    ) -> "LaunchPlanTypes | None":
        """Return the types of a launch plan, or `None` when the launch plan is not known."""
        found = self._launch_plans.get(reference)
        if found is None:
            plan = self.launch_plans.get(identifier_text(identifier))
            if plan is None:
                return None
            outputs = self._of_message(interface_pb2.TypedInterface(outputs=plan.expected_outputs))
            types, required = {}, set()
            broken: dict[str, str] = {}
            for name, parameter in plan.expected_inputs.parameters.items():
                types[name] = self.types.of(parameter.var.type)
                # A parameter is required only if it says so: neither an unset `behavior` nor
                # `required: false` makes it required.
                if parameter.WhichOneof("behavior") == "required" and parameter.required:
                    required.add(name)
                if not parameter.var.HasField("type"):
                    broken[name] = "param.Type"
                elif not name:
                    broken[name] = "paramName"
            found = LaunchPlanTypes(types, frozenset(required), broken, outputs)
            self._launch_plans[reference] = found
        return found

    def _of_task(self, template: tasks_pb2.TaskTemplate) -> Interface:
        """Return the interface of a task's template; a missing interface counts as an empty one."""
        if not template.HasField("interface"):
            return NO_INTERFACE
        return self._of_message(template.interface)

    def _of_message(self, message: interface_pb2.TypedInterface) -> Interface:
        """Return the interface of the message, and fill in its maps where they are missing."""
        # Flyte fills in missing maps, and the filled-in message is part of the closure it returns.
        message.inputs.SetInParent()
        message.outputs.SetInParent()
        broken: list[str] = []
        inputs = self._variables(message.inputs, broken)
        outputs = self._variables(message.outputs, broken)
        return interface_of(inputs, outputs, broken)

    def _variables(
        self, message: interface_pb2.VariableMap, broken: "list[str]"
    ) -> "dict[str, Type]":
        """Return the types of the variables by name, sorted; add the names of missing fields to `broken`."""
        found = {}
        of = self.types.of
        for name, variable in sorted(message.variables.items()):
            if not name:
                broken.append("paramName")
            if not variable.HasField("type"):
                broken.append("param.Type")
            found[name] = of(variable.type)
        return found


def key(identifier: identifier_pb2.Identifier) -> bytes:
    """Return the identifier as bytes that are equal for equal identifiers, with every field."""
    # Bytes and not a tuple of the five fields: this also covers `org` and fields that a later Flyte
    # adds.
    return identifier.SerializeToString(deterministic=True)


def identifier_text(identifier: identifier_pb2.Identifier) -> str:
    """Return `launch_plan:project:domain:name:version`, the same text as `str()` of the `api` Identifier."""
    kind = _NOUNS.get(identifier.resource_type, "unspecified")
    parts = (identifier.project, identifier.domain, identifier.name, identifier.version)
    return ":".join((kind, *parts))


_NOUNS = {
    identifier_pb2.TASK: TASK,
    identifier_pb2.WORKFLOW: WORKFLOW,
    identifier_pb2.LAUNCH_PLAN: LAUNCH_PLAN,
    identifier_pb2.DATASET: "dataset",
}
