"""Maps of literals that a store has: read whole, and never taken for empty when they are lost.

FlyteAdmin leaves out of its answers what is large, and what it cannot read: both look the same, an empty
map. The interface says which values there have to be, and the store what became of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import StorageError
from flyte_nb.client.data import KernelData
from flyte_nb.wire.identifiers import identifier_from_idl


class StoredValues:
    """Reads maps of literals for one purpose."""

    def __init__(self, data: KernelData, what: str) -> None:
        """Args: `what` is whose values they are, for errors, e.g. `The outputs of f3kq`."""
        self._data = data
        self._what = what

    def whole(
        self, message: LiteralMap, uri: "str | Callable[[], str]", promised: "Sequence[str]"
    ) -> LiteralMap:
        """Return the map with every promised value.

        Args:
            message: What FlyteAdmin answered.
            uri: Where the map is stored, or what finds that out; asked when something is missing.
            promised: Names by the interface; none where nobody knows it.

        Raises:
            StorageError: the map is gone, damaged, or lacks a promised value.
        """
        if not promised:
            return self.if_there(message, "" if callable(uri) else uri)
        if not self._missing(message, promised):
            return message
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
        """Return the map at `uri` where FlyteAdmin left it out; as it is when nothing is stored there.

        Raises:
            StorageError: something is stored there, and it cannot be read.
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
                f"{self._what} are not there to be read: {error.message}",
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


_HINT = "Was it deleted, or lost in a power cut? Launch again to make it anew."


def outputs_of_node(closure: CompiledWorkflowClosure, spec_node_id: str) -> "list[str]":
    """Return the outputs that the node of that id promises; none when it is not known which node is meant.

    Nodes of sub-workflows may have equal ids. Then only what all of them promise counts.
    """
    tasks = {
        identifier_from_idl(task.template.id): task.template.interface for task in closure.tasks
    }
    workflows = {
        identifier_from_idl(workflow.template.id): workflow.template.interface
        for workflow in closure.sub_workflows
    }
    promised = [
        _outputs(node, tasks, workflows)
        for workflow in (closure.primary, *closure.sub_workflows)
        for node in workflow.template.nodes
        if node.id == spec_node_id
    ]
    return sorted(set.intersection(*promised)) if promised else []


def _outputs(node: Any, tasks: "dict[Any, Any]", workflows: "dict[Any, Any]") -> "set[str]":
    target = node.WhichOneof("target")
    interface = None
    if target == "task_node":
        interface = tasks.get(identifier_from_idl(node.task_node.reference_id))
    elif target == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
        interface = workflows.get(identifier_from_idl(node.workflow_node.sub_workflow_ref))
    return set() if interface is None else set(interface.outputs.variables)
