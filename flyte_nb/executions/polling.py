"""Read one execution by plain RPCs, and only the part of it that can have changed.

A poll reads the execution, one list of nodes for each parent, and one list of attempts for each node whose
attempts have not ended. The lists of attempts are read many at a time.
"""

import contextlib
from collections.abc import Iterator

from flyteidl.admin.common_pb2 import Sort
from flyteidl.admin.execution_pb2 import Execution, WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import (
    NodeExecution,
    NodeExecutionGetRequest,
    NodeExecutionListRequest,
)
from flyteidl.admin.task_execution_pb2 import TaskExecutionListRequest
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, WorkflowExecutionIdentifier

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.executions.assembly import Assembly
from flyte_nb.wire.identifiers import execution_id_to_idl

_PAGE = 500
_CUT_AT = 100
"""FlyteAdmin cuts error messages in lists to this many bytes."""
_MAX_ATTEMPTS = 100
"""Attempts of one node that are read. Only the first page is read."""


def refresh(
    client: AdminClient,
    execution: ExecutionId,
    assembly: Assembly,
    lock: "contextlib.AbstractContextManager[object]",
) -> Execution:
    """Bring `assembly` up to date; return the execution's own message.

    The execution is read first and applied last. So when a view says that the execution has ended, its
    nodes were read after that, and they are final too.

    Args:
        client: Calls FlyteAdmin.
        execution: The execution to read.
        assembly: Takes the messages.
        lock: Held while `assembly` is used, and not while FlyteAdmin is called.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    identifier = execution_id_to_idl(execution)
    own: Execution = client.call(
        "GetExecution",
        WorkflowExecutionGetRequest(id=identifier),
        doing=f"Reading {execution.name}",
    )
    # Nodes are listed level by level: those at the top, their children, and so on.
    listed: set[str] = set()
    wave = [""]
    while wave:
        for parent in wave:
            nodes = list(_nodes(client, identifier, parent))
            with lock:
                for node in nodes:
                    assembly.apply(node)
                    assembly.set_parent(node.id.node_id, parent)
        listed.update(wave)
        with lock:
            wave = [parent for parent in assembly.parents() if parent not in listed]
    # After the nodes, whose phases say which attempts can have changed.
    with lock:
        wanted = assembly.attempts_wanted()
    requests = [
        TaskExecutionListRequest(
            node_execution_id=NodeExecutionIdentifier(execution_id=identifier, node_id=node_id),
            limit=_MAX_ATTEMPTS,
        )
        for node_id in wanted
    ]
    for answer in client.call_all("ListTaskExecutions", requests):
        if isinstance(answer, RemoteError):
            raise answer
        with lock:
            for task in answer.task_executions:
                assembly.apply(task)
    with lock:
        assembly.apply(own)
    return own


def _nodes(
    client: AdminClient, execution: WorkflowExecutionIdentifier, parent: str
) -> "Iterator[NodeExecution]":
    """Yield the nodes directly below `parent`; those at the top when it is empty.

    A node whose error message may have been cut is read once more by itself.
    """
    token = ""
    while True:
        page = client.call(
            "ListNodeExecutions",
            NodeExecutionListRequest(
                workflow_execution_id=execution,
                limit=_PAGE,
                token=token,
                unique_parent_id=parent,
                sort_by=Sort(key="created_at", direction=Sort.ASCENDING),
            ),
            doing=f"Reading the nodes of {execution.name}",
        )
        for node in page.node_executions:
            has_error = node.closure.WhichOneof("output_result") == "error"
            if has_error and len(node.closure.error.message.encode()) >= _CUT_AT:
                yield client.call("GetNodeExecution", NodeExecutionGetRequest(id=node.id))
            else:
                yield node
        token = page.token
        if not token or not page.node_executions:
            return
