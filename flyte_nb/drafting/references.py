"""Check what references of the SDK refer to: that it is registered, with the interface that they declare."""

from collections.abc import Iterable, Iterator

from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import Task
from flyteidl.core import interface_pb2, types_pb2

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, Identifier
from flyte_nb.api.literal_types import describe
from flyte_nb.api.problems import Problem
from flyte_nb.api.references import references
from flyte_nb.api.specs import Node, WorkflowTemplate
from flyte_nb.compiler.casting import TypeTable
from flyte_nb.drafting.draft import Lookup
from flyte_nb.drafting.draft_set import DraftSet
from flyte_nb.sdk.entity import Definition
from flyte_nb.types.registry import Registry
from flyte_nb.wire.types import interface_to_idl, type_from_idl

_NOUNS = {TASK: "task", LAUNCH_PLAN: "launch plan"}


class ReferenceChecker:
    """Knows the references of one set of entities, and what is wrong with each."""

    def __init__(self, registry: Registry, made: DraftSet, lookup: "Lookup | None") -> None:
        """Set what all references share.

        Args:
            registry: The types.
            made: Takes what the references refer to.
            lookup: Finds what is registered. Without it each reference is taken at its word.
        """
        self._registry = registry
        self._made = made
        self._lookup = lookup
        self._wrong: dict[Identifier, list[Problem]] = {}

    def look_up(self, entities: "Iterable[Definition]") -> None:
        """Find what the references among the entities refer to, all of them at once."""
        found = {
            entity.registered_as: entity for entity in entities if entity.registered_as is not None
        }
        if not found:
            return
        if self._lookup is not None:
            there = self._lookup(list(found))
            self._made.registered = {**self._made.registered, **there}
        for id, entity in found.items():
            reading = entity.read(self._registry)
            declared = interface_to_idl(reading.signature.interface)
            required = [
                name for name in declared.inputs.variables if name not in reading.signature.defaults
            ]
            self._wrong[id] = list(reading.problems) or list(self._compared(id, declared))
            self._made.declare(id, declared, required)

    def problems(self, template: WorkflowTemplate) -> "list[Problem]":
        """Return what is wrong with the references in a workflow, at the nodes that call them."""
        if not self._wrong:
            return []
        nodes = [*template.nodes, *([template.failure_node] if template.failure_node else [])]
        found = []
        for node in nodes:
            for id in references((node,)):
                found += [_at(problem, node) for problem in self._wrong.get(id, ())]
        return found

    def _compared(
        self, id: Identifier, declared: interface_pb2.TypedInterface
    ) -> "Iterator[Problem]":
        """Yield how what is registered differs from what is declared, where that would fail a node."""
        if self._lookup is None:
            return
        known = self._made.known(id)
        noun = _NOUNS[id.resource_type]
        if known is None:
            yield Problem(
                "ReferenceNotFound",
                f"The {noun} {id.name} is not registered in {id.project}/{id.domain}"
                f" in version {id.version}.",
                hint="Check project, domain, name and version, or register it first.",
            )
            return
        takes, gives, required = _interface(known)
        for name, variable in declared.inputs.variables.items():
            if name not in takes:
                yield _differs(
                    id, f"it has no input {name}", f"It has: {', '.join(takes) or 'none'}."
                )
            elif not _fits(variable.type, takes[name].type):
                yield _differs(id, f"its input {name} is {_spelled(takes[name])}", "")
        for name in required:
            if name not in declared.inputs.variables:
                yield _differs(id, f"it needs an input {name}", "Add it to the function.")
        for name, variable in declared.outputs.variables.items():
            if name not in gives:
                yield _differs(
                    id, f"it has no output {name}", f"It has: {', '.join(gives) or 'none'}."
                )
            elif not _fits(gives[name].type, variable.type):
                yield _differs(id, f"its output {name} is {_spelled(gives[name])}", "")


_Variables = dict[str, interface_pb2.Variable]


def _interface(known: Task | LaunchPlan) -> "tuple[_Variables, _Variables, list[str]]":
    """Return the registered inputs and outputs, and the inputs that have to be given."""
    if isinstance(known, Task):
        interface = known.closure.compiled_task.template.interface
        takes = dict(interface.inputs.variables)
        return takes, dict(interface.outputs.variables), list(takes)
    parameters = known.closure.expected_inputs.parameters
    takes = {name: parameter.var for name, parameter in parameters.items()}
    required = [name for name, parameter in parameters.items() if parameter.required]
    return takes, dict(known.closure.expected_outputs.variables), required


def _fits(given: types_pb2.LiteralType, wanted: types_pb2.LiteralType) -> bool:
    table = TypeTable()
    return table.castable(table.of(given), table.of(wanted))


def _spelled(variable: interface_pb2.Variable) -> str:
    return describe(type_from_idl(variable.type))


def _differs(id: Identifier, how: str, hint: str) -> Problem:
    return Problem(
        "ReferenceDiffers",
        f"The registered {_NOUNS[id.resource_type]} {id.name} is not as declared: {how}.",
        hint=hint or "Write the type that it is registered with.",
    )


def _at(problem: Problem, node: Node) -> Problem:
    return problem._replace(node_id=node.id, location=problem.location or node.location)
