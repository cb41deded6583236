"""Read what a plan needs from flyteidl's messages of tasks and nodes. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import NONE, LiteralType
from flyteidl.core.workflow_pb2 import BranchNode, Node
from google.protobuf.duration_pb2 import Duration

from flyte_nb.api.identifiers import TASK, Identifier
from flyte_nb.wire.identifiers import identifier_from_idl


class TaskFacts(NamedTuple):
    """What every node takes over from its task. Reading it from the message once saves time per node."""

    task: TaskTemplate
    task_id: Identifier
    retries: int
    timeout_us: int
    discoverable: bool
    discovery_version: str
    serializable: bool
    optionals: tuple[tuple[str, Literal], ...]


def element_template(task: TaskTemplate) -> TaskTemplate:
    """Return the task of a map as one element has it: its outputs are items of the map's lists.

    The keys of cached results depend on it.

    Source: `arrayTaskReader` in flytepropeller/pkg/controller/nodes/array at v1.16.8.
    """
    made = TaskTemplate()
    made.CopyFrom(task)
    for variable in made.interface.outputs.variables.values():
        if variable.type.WhichOneof("type") == "collection_type":
            item = LiteralType()
            item.CopyFrom(variable.type.collection_type)
            variable.type.CopyFrom(item)
    return made


def arms_below(branch: BranchNode) -> Iterator[Node]:
    """Yield the nodes of the arms, also of the branches inside them."""
    block = branch.if_else
    nodes = [block.case.then_node, *(case.then_node for case in block.other)]
    if block.HasField("else_node"):
        nodes.append(block.else_node)
    for node in nodes:
        yield node
        if node.HasField("branch_node"):
            yield from arms_below(node.branch_node)


def facts_of(task: TaskTemplate) -> TaskFacts:
    """Return what every node takes over from a task."""
    metadata = task.metadata
    return TaskFacts(
        task=task,
        task_id=identifier_from_idl(task.id, TASK),
        retries=metadata.retries.retries,
        timeout_us=timeout_us_of(metadata.timeout),
        discoverable=metadata.discoverable,
        discovery_version=metadata.discovery_version,
        serializable=metadata.cache_serializable,
        optionals=optionals_of(task.interface),
    )


def timeout_us_of(timeout: Duration) -> int:
    """Return the timeout in microseconds. A negative one gives 0, which means no limit, as in Flyte."""
    return max(0, int(timeout.seconds) * 1_000_000 + int(timeout.nanos) // 1000)


def optionals_of(interface: TypedInterface) -> tuple[tuple[str, Literal], ...]:
    """Return the inputs whose type is a union with None, each with that None as a literal."""
    nones = ((name, _none_of(var.type)) for name, var in interface.inputs.variables.items())
    return tuple((name, none) for name, none in nones if none is not None)


def unbound(
    node: Node, optionals: tuple[tuple[str, Literal], ...]
) -> tuple[tuple[str, Literal], ...]:
    """Return those inputs that the node does not bind. The compiler allows them to be left out."""
    if not optionals:
        return ()
    bound = {binding.var for binding in node.inputs}
    return tuple(item for item in optionals if item[0] not in bound)


def aliases_of(node: Node) -> tuple[tuple[str, str], ...]:
    """Return the other names that a node gives its outputs, each with the output."""
    return tuple((alias.alias, alias.var) for alias in node.output_aliases)


def _none_of(type: LiteralType) -> "Literal | None":
    for variant in type.union_type.variants:
        if variant.WhichOneof("type") == "simple" and variant.simple == NONE:
            literal = Literal()
            literal.scalar.union.value.scalar.none_type.SetInParent()
            literal.scalar.union.type.CopyFrom(variant)
            return literal
    return None


def key_of(id: IdentifierMessage) -> str:
    """Return the text by which plans find a task or a workflow."""
    return f"{id.project}:{id.domain}:{id.name}:{id.version}"


def promises_of(node: Node) -> tuple[tuple[str, str, str], ...]:
    """Return the inputs of the node that are a whole output of another one: `(input, node, output)`."""
    return tuple(
        (binding.var, binding.binding.promise.node_id, binding.binding.promise.var)
        for binding in node.inputs
        if binding.binding.HasField("promise") and not binding.binding.promise.attr_path
    )
