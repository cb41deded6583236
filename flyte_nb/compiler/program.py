"""What one compilation knows from outside: tasks, launch plans and sub-workflows by id; and types."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyteidl.core import compiler_pb2, identifier_pb2, interface_pb2, tasks_pb2, workflow_pb2

from flyte_nb.compiler.casting import Type, TypeTable


class LaunchPlanInterface(NamedTuple):
    """What a launch plan takes and gives (`LaunchPlanClosure.expected_inputs`, `expected_outputs`)."""

    expected_inputs: interface_pb2.ParameterMap
    expected_outputs: interface_pb2.VariableMap


class Interface(NamedTuple):
    """Types by variable."""

    inputs: "dict[str, Type]"
    outputs: "dict[str, Type]"
    broken: "tuple[str, ...]" = ()
    """Fields that Flyte requires of an interface and that are missing: `paramName`, `param.Type`."""
    required: "frozenset[str]" = frozenset()
    """Inputs that must get a value."""


def interface_of(
    inputs: "dict[str, Type]", outputs: "dict[str, Type]", broken: "Iterable[str]" = ()
) -> Interface:
    """The interface; an input that may be None needs no value."""
    required = frozenset(name for name, type in inputs.items() if not type.is_optional)
    return Interface(inputs, outputs, tuple(broken), required)


NO_INTERFACE = Interface({}, {})


class Plan(NamedTuple):
    """What a launch plan takes and makes."""

    parameters: "dict[str, Type]"
    required: "frozenset[str]"
    """Parameters without a default."""
    broken: "Mapping[str, str]"
    """Fields that Flyte requires of a parameter and that are missing, by its name."""
    outputs: Interface


class Program:
    """Everything by id. `tasks` and `workflows` are the copies that become part of the closure."""

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
        """Sub-workflows that say no interface: they may not be used (though a primary one may)."""
        self._tasks: dict[bytes, Interface] = {}
        self._workflows: dict[bytes, Interface] = {}
        self._launch_plans: dict[bytes, Plan] = {}

    def task_interface(self, reference: bytes) -> "Interface | None":
        """The task's interface; `None` when there is no such task."""
        found = self._tasks.get(reference)
        if found is None and reference in self.tasks:
            found = self._tasks[reference] = self._of_task(self.tasks[reference])
        return found

    def workflow_interface(self, reference: bytes) -> "Interface | None":
        """The sub-workflow's interface; `None` when there is no such workflow."""
        found = self._workflows.get(reference)
        if found is None and reference in self.workflows:
            template = self.workflows[reference].template
            found = self._workflows[reference] = self.of_workflow(template)
        return found

    def of_workflow(self, template: workflow_pb2.WorkflowTemplate) -> Interface:
        """The interface of a workflow; an absent one is empty."""
        return self._of_message(template.interface)

    def launch_plan(self, identifier: identifier_pb2.Identifier, reference: bytes) -> "Plan | None":
        """Parameters and outputs of a launch plan; `None` when there is no such plan."""
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
                if parameter.WhichOneof("behavior") == "required" and parameter.required:
                    required.add(name)
                if not parameter.var.HasField("type"):
                    broken[name] = "param.Type"
                elif not name:
                    broken[name] = "paramName"
            found = Plan(types, frozenset(required), broken, outputs)
            self._launch_plans[reference] = found
        return found

    def _of_task(self, template: tasks_pb2.TaskTemplate) -> Interface:
        if not template.HasField("interface"):
            return NO_INTERFACE
        return self._of_message(template.interface)

    def _of_message(self, message: interface_pb2.TypedInterface) -> Interface:
        # Flyte fills in the maps that are missing, also in what it hands back.
        message.inputs.SetInParent()
        message.outputs.SetInParent()
        broken: list[str] = []
        inputs = self._variables(message.inputs, broken)
        outputs = self._variables(message.outputs, broken)
        return interface_of(inputs, outputs, broken)

    def _variables(
        self, message: interface_pb2.VariableMap, broken: "list[str]"
    ) -> "dict[str, Type]":
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
    """The identifier as a key: equal ids, with every field, have equal keys."""
    return identifier.SerializeToString(deterministic=True)


def identifier_text(identifier: identifier_pb2.Identifier) -> str:
    """`launch_plan:project:domain:name:version`, as `str(api Identifier)`."""
    kind = _NOUNS.get(identifier.resource_type, "unspecified")
    parts = (identifier.project, identifier.domain, identifier.name, identifier.version)
    return ":".join((kind, *parts))


_NOUNS = {
    identifier_pb2.TASK: "task",
    identifier_pb2.WORKFLOW: "workflow",
    identifier_pb2.LAUNCH_PLAN: "launch_plan",
    identifier_pb2.DATASET: "dataset",
}
