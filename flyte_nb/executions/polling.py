"""One execution read by plain RPCs, and only the part of it that can still have changed.

One list of nodes for each parent, and one list of attempts for each node that has not settled; the
latter many at a time.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from flyteidl.admin.common_pb2 import Sort
from flyteidl.admin.execution_pb2 import Execution, WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import (
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
_CUT_AT = 100  # FlyteAdmin cuts error messages in lists to 100 bytes


def refresh(
    client: AdminClient,
    execution: ExecutionId,
    assembly: Assembly,
    lock: "contextlib.AbstractContextManager[Any]",
) -> Execution:
    """Bring `assembly` up to date; return the execution's own message.

    The execution is read first and applied last: when it says that it ended, the nodes that were read
    after it are final too.

    Raises:
        RemoteError: FlyteAdmin refused.
    """
    identifier = execution_id_to_idl(execution)
    own: Execution = client.call(
        "GetExecution",
        WorkflowExecutionGetRequest(id=identifier),
        doing=f"Reading {execution.name}",
    )
    listed: set[str] = set()
    wave = [""]
    while wave:
        for parent in wave:
            nodes = list(_nodes(client, identifier, parent))
            with lock:
                for node in nodes:
                    assembly.apply(node)
                    assembly.place(node.id.node_id, parent)
        listed.update(wave)
        with lock:
            wave = [parent for parent in assembly.parents() if parent not in listed]
    with lock:
        wanted = assembly.attempts_wanted()
    requests = [
        TaskExecutionListRequest(
            node_execution_id=NodeExecutionIdentifier(execution_id=identifier, node_id=node_id),
            limit=100,
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
) -> "Iterator[Any]":
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
            cut = node.closure.WhichOneof("output_result") == "error"
            if cut and len(node.closure.error.message.encode()) >= _CUT_AT:
                yield client.call("GetNodeExecution", NodeExecutionGetRequest(id=node.id))
            else:
                yield node
        token = page.token
        if not token or not page.node_executions:
            return
