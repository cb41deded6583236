"""Read the inputs and outputs of one execution, and of its nodes, as Python values.

FlyteAdmin's answers have the literals where they are small. Otherwise they are read from the store, at the
URI that the answer or the execution's own message names (`stored_values`). The types come from the workflow's
closure, or the codecs from the entity itself where this kernel defines it.
"""

from collections.abc import Mapping
from typing import Any

from flyteidl.admin.execution_pb2 import (
    Execution,
    WorkflowExecutionGetDataRequest,
    WorkflowExecutionGetDataResponse,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.node_execution_pb2 import (
    NodeExecution,
    NodeExecutionGetDataRequest,
    NodeExecutionGetRequest,
)
from flyteidl.core import identifier_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.execution_pb2 import NodeExecution as NodePhases
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.client import fetching
from flyte_nb.executions.python_values import python_values
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.executions.stored_values import StoredValues, outputs_of_node
from flyte_nb.executions.views import ExecutionView
from flyte_nb.types.codec import Codec
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl


class ExecutionValues:
    """Reads the values of one execution. The workflow's closure is read once, when it is first needed."""

    def __init__(
        self,
        id: ExecutionId,
        context: SessionContext,
        *,
        input_codecs: "Mapping[str, Codec] | None" = None,
        output_codecs: "Mapping[str, Codec] | None" = None,
    ) -> None:
        """Take the execution and how to read its values; see `Execution`."""
        self._id = id
        self._context = context
        self._input_codecs = input_codecs or {}
        self._output_codecs = output_codecs or {}
        self._closure: CompiledWorkflowClosure | None = None

    def compiled(self, workflow: identifier_pb2.Identifier) -> "CompiledWorkflowClosure | None":
        """Return the closure of the execution's workflow; `None` when the execution has no workflow.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        if self._closure is None:
            self._closure = fetching.closure_of(self._context.client, workflow)
        return self._closure

    def outputs(self, view: ExecutionView) -> "dict[str, Any]":
        """Return the outputs by name.

        Args:
            view: A view of the execution after it has succeeded.

        Raises:
            CodecError: a stored value does not fit its type.
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the outputs are missing, or cannot be read.
        """
        answer = self._data()
        types = self._types("outputs", view)
        values = StoredValues(self._context.data, f"The outputs of {self._id.name}")
        # FlyteAdmin may leave the URI out of this answer, but the execution's own message has it.
        message = values.whole(
            answer.full_outputs, answer.outputs.url or self._outputs_uri, list(types)
        )
        return self._python(message, self._output_codecs, types)

    def inputs(self, view: ExecutionView) -> "dict[str, Any]":
        """Return the inputs by name, with the defaults that FlyteAdmin added.

        Args:
            view: Any view of the execution.

        Raises:
            CodecError: a stored value does not fit its type.
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the inputs are missing, or cannot be read.
        """
        answer = self._data()
        types = self._types("inputs", view)
        values = StoredValues(self._context.data, f"The inputs of {self._id.name}")
        message = values.whole(answer.full_inputs, answer.inputs.url, list(types))
        return self._python(message, self._input_codecs, types)

    def of_node(self, node_id: str) -> "tuple[dict[str, Any], dict[str, Any]]":
        """Return inputs and outputs of one node, by name. Outputs are empty until the node has succeeded.

        Raises:
            CodecError: a stored value does not fit its type.
            RemoteError: NOT_FOUND when there is no such node, and other refusals.
            StorageError: the outputs of a node that succeeded are missing, or cannot be read.
        """
        identifier = NodeExecutionIdentifier(
            execution_id=execution_id_to_idl(self._id), node_id=node_id
        )
        client = self._context.client
        answer = client.call(
            "GetNodeExecutionData",
            NodeExecutionGetDataRequest(id=identifier),
            doing=f"Reading node {node_id}",
        )
        inputs, outputs = answer.full_inputs, answer.full_outputs
        # An empty map means "no values", "too large for the answer" or "cannot be read". The node's own
        # message says where the maps are stored.
        if not inputs.literals or not outputs.literals:
            node: NodeExecution = client.call(
                "GetNodeExecution", NodeExecutionGetRequest(id=identifier)
            )
            values = StoredValues(self._context.data, f"The values of node {node_id}")
            inputs = values.if_there(inputs, node.input_uri)
            promised = self._promised(node)
            # Only a node that succeeded must have its outputs. Before, a missing map is no error.
            if node.closure.phase == NodePhases.SUCCEEDED and promised:
                outputs = values.whole(outputs, node.closure.output_uri, promised)
            else:
                outputs = values.if_there(outputs, node.closure.output_uri)
        return self._python(inputs, {}, {}), self._python(outputs, {}, {})

    def _types(self, side: str, view: ExecutionView) -> "Mapping[str, LiteralType]":
        """Return the types of the `inputs` or `outputs` by name; none when the workflow is not known."""
        closure = self.compiled(identifier_to_idl(view.workflow))
        if closure is None:
            return {}
        interface = fetching.interface_of(closure.primary.template)
        variables = interface.inputs if side == "inputs" else interface.outputs
        return {name: variable.type for name, variable in variables.items()}

    def _data(self) -> WorkflowExecutionGetDataResponse:
        answer: WorkflowExecutionGetDataResponse = self._context.client.call(
            "GetExecutionData",
            WorkflowExecutionGetDataRequest(id=execution_id_to_idl(self._id)),
            doing=f"Reading the data of {self._id.name}",
        )
        return answer

    def _outputs_uri(self) -> str:
        """Return the URI of the outputs, as the execution's own message has it."""
        return str(self._own().closure.outputs.uri)

    def _own(self) -> Execution:
        request = WorkflowExecutionGetRequest(id=execution_id_to_idl(self._id))
        own: Execution = self._context.client.call(
            "GetExecution", request, doing=f"Reading {self._id.name}"
        )
        return own

    def _promised(self, node: NodeExecution) -> "list[str]":
        """Return the names of a node's outputs, as far as the workflow's closure has them."""
        closure = self.compiled(self._own().closure.workflow_id)
        # The template's id may be left out where both ids are equal.
        spec_node_id = node.metadata.spec_node_id or node.id.node_id
        return [] if closure is None else outputs_of_node(closure, spec_node_id)

    def _python(
        self, message: LiteralMap, codecs: "Mapping[str, Codec]", types: "Mapping[str, LiteralType]"
    ) -> "dict[str, Any]":
        context = self._context
        return python_values(
            message, context.registry, context.data, codecs=codecs, interface=types
        )
