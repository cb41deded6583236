"""Read maps of literals from a store where FlyteAdmin's answer has none, and notice when values are missing.

FlyteAdmin answers an empty map for values that are large, and for values that it cannot read. So an empty map
must not be taken for "no values". The interface says which values there have to be, and the store says what
happened to them.
"""

from collections.abc import Callable, Sequence

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.workflow_pb2 import Node
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.client.data import KernelData
from flyte_nb.wire.identifiers import identifier_from_idl


class StoredValues:
    """Reads the maps of literals of one execution or node."""

    def __init__(self, data: KernelData, what: str) -> None:
        """Take how to read, and what to call the values.

        Args:
            data: Reads stored objects.
            what: The subject of error messages, in the plural, e.g. `The outputs of f3kq`.
        """
        self._data = data
        self._what = what

    def whole(
        self, message: LiteralMap, uri: "str | Callable[[], str]", promised: "Sequence[str]"
    ) -> LiteralMap:
        """Return the map with every promised value.

        Args:
            message: The map in FlyteAdmin's answer.
            uri: Where the map is stored; or a function that returns that, called when values are missing.
            promised: The names in the interface; none when the interface is not known.

        Raises:
            StorageError: the stored map is missing, damaged, or lacks a promised value.
        """
        if not promised:
            return self.if_there(message, "" if callable(uri) else uri)
        if not self._missing(message, promised):
            return message
        # Only now is the URI asked for: finding it may cost a call to FlyteAdmin.
        found = uri() if callable(uri) else uri
        if found:
            message = self._read(found)
        missing = self._missing(message, promised)
        if missing:
            where = f" at {found}" if found else ""
            lacks = ", ".join(missing)
            raise StorageError(
                f"{self._what} are incomplete: {lacks} is missing{where}.", uri=found, hint=_HINT
            )
        return message

    def if_there(self, message: LiteralMap, uri: str) -> LiteralMap:
        """Return the map at `uri` when FlyteAdmin's is empty; FlyteAdmin's when nothing is stored there.

        Args:
            message: The map in FlyteAdmin's answer.
            uri: Where the map is stored; empty when that is not known.

        Raises:
            StorageError: the stored map cannot be read, or is damaged.
        """
        if message.literals or not uri:
            return message
        try:
            return self._read(uri)
        except StorageError as error:
            if not error.missing:
                raise
            return message  # a task without inputs or outputs need not write any

    def _read(self, uri: str) -> LiteralMap:
        try:
            return LiteralMap.FromString(self._data.read(uri))
        except StorageError as error:
            raise StorageError(
                f"{self._what} cannot be read: {error.message}",
                uri=uri,
                transient=error.transient,
                missing=error.missing,
                hint=_HINT if error.missing else error.hint,
            ) from error
        except DecodeError as error:
            raise StorageError(
                f"{self._what} are damaged: what is stored at {uri} is no map of literals.",
                uri=uri,
                hint=_HINT,
            ) from error

    @staticmethod
    def _missing(message: LiteralMap, promised: "Sequence[str]") -> "list[str]":
        return sorted(set(promised) - set(message.literals))


_HINT = "The stored values may have been deleted, or lost in a power cut. Launch again to compute them again."


def outputs_of_node(closure: CompiledWorkflowClosure, spec_node_id: str) -> "list[str]":
    """Return the names of the outputs that the node of that id has, sorted; none when the node is not known.

    Nodes of different sub-workflows may have equal ids, and the id does not say which one is meant. Then only
    outputs that all of them have are returned.

    Args:
        closure: The compiled workflow.
        spec_node_id: The node's id in its template.
    """
    tasks = {
        identifier_from_idl(task.template.id): task.template.interface for task in closure.tasks
    }
    workflows = {
        identifier_from_idl(workflow.template.id): workflow.template.interface
        for workflow in closure.sub_workflows
    }
    # All levels are searched: the id does not say in which sub-workflow the node is.
    promised = [
        _outputs(node, tasks, workflows)
        for workflow in (closure.primary, *closure.sub_workflows)
        for node in workflow.template.nodes
        if node.id == spec_node_id
    ]
    return sorted(set.intersection(*promised)) if promised else []


def _outputs(
    node: Node,
    tasks: "dict[Identifier, TypedInterface]",
    workflows: "dict[Identifier, TypedInterface]",
) -> "set[str]":
    """Return the outputs of one node of a template; none for kinds whose interface is not in the closure."""
    target = node.WhichOneof("target")
    interface = None
    if target == "task_node":
        interface = tasks.get(identifier_from_idl(node.task_node.reference_id))
    elif target == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
        interface = workflows.get(identifier_from_idl(node.workflow_node.sub_workflow_ref))
    return set() if interface is None else set(interface.outputs.variables)
