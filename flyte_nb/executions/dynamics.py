"""Fetch the workflows that dynamic tasks made while an execution ran, each once."""

import contextlib
from collections.abc import Callable

from flyteidl.admin.node_execution_pb2 import (
    GetDynamicNodeWorkflowRequest,
    NodeExecutionGetDataRequest,
)
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.executions.assembly import Assembly
from flyte_nb.wire.identifiers import execution_id_to_idl

DynamicWorkflow = Callable[[str, str], "CompiledWorkflowClosure | None"]
"""Returns what a dynamic node runs, by its id in the execution and the URI of what it was made from."""


class DynamicWorkflows:
    """The workflows of the dynamic nodes of one execution (a `DynamicWorkflow`)."""

    def __init__(self, client: AdminClient, execution: ExecutionId) -> None:
        """Remember whom to ask; nothing is read yet."""
        self._client = client
        self._id = execution
        self._known: dict[tuple[str, str], CompiledWorkflowClosure | None] = {}

    def __call__(self, node_id: str, job_uri: str) -> "CompiledWorkflowClosure | None":
        """Return the compiled workflow; `None` when FlyteAdmin does not have it (any more).

        Args:
            node_id: The dynamic node.
            job_uri: What it was made from. Each attempt makes another one.

        Raises:
            RemoteError: FlyteAdmin cannot be reached.
        """
        key = (node_id, job_uri)
        if key not in self._known:
            self._known[key] = self._fetched(node_id)
        return self._known[key]

    def _fetched(self, node_id: str) -> "CompiledWorkflowClosure | None":
        id = NodeExecutionIdentifier(execution_id=execution_id_to_idl(self._id), node_id=node_id)
        doing = f"Reading what {node_id} of {self._id.name} runs"
        try:
            try:
                request = GetDynamicNodeWorkflowRequest(id=id)
                answer = self._client.call("GetDynamicNodeWorkflow", request, doing=doing)
                found: CompiledWorkflowClosure = answer.compiled_workflow
            except RemoteError as error:
                if error.code != "UNIMPLEMENTED":
                    raise
                # An older FlyteAdmin has it only beside the node's values.
                wanted = NodeExecutionGetDataRequest(id=id)
                answer = self._client.call("GetNodeExecutionData", wanted, doing=doing)
                found = answer.dynamic_workflow.compiled_workflow
        except RemoteError as error:
            # Deleted workflows do not keep anybody from looking at the rest.
            if error.code in ("NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL"):
                return None
            raise
        return found if found.primary.template.nodes else None


def grow(
    assembly: Assembly,
    lock: "contextlib.AbstractContextManager[object]",
    workflow_of: DynamicWorkflow,
) -> None:
    """Tell `assembly` the names and kinds of the nodes that dynamic tasks made since the last call.

    Args:
        assembly: Knows which nodes are dynamic.
        lock: Held while `assembly` is used, and not while FlyteAdmin is called.
        workflow_of: Fetches what a node runs.

    Raises:
        RemoteError: FlyteAdmin cannot be reached.
    """
    with lock:
        wanted = assembly.growing()
    for node_id, job_uri in wanted:
        closure = workflow_of(node_id, job_uri)
        with lock:
            assembly.grow(node_id, job_uri, closure)
