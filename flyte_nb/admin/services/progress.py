"""Get and list the nodes of executions, and the attempts of nodes.

Source: flyteadmin/pkg/manager/impl/{node,task}_execution_manager.go at v1.16.8.
"""

from flyteidl.admin import node_execution_pb2, task_execution_pb2
from flyteidl.core import identifier_pb2

from flyte_nb.admin.map_elements import whole
from flyte_nb.admin.refused import Refused, missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.dynamic_closures import dynamic_closure
from flyte_nb.admin.services.rules import check_fields, check_limit
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.listing import equals, message_list, offset_of, page
from flyte_nb.admin.store.resources import NODE_EXECUTION, TASK_EXECUTION, Resource
from flyte_nb.admin.store.runs import Runs

_MAX_LISTED_ERROR = 100


class Progress:
    """Serve the calls that read node executions and task executions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._runs = Runs(parts.database)

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "GetNodeExecution": self._get_node,
            "ListNodeExecutions": self._list_nodes,
            "ListNodeExecutionsForTask": self._list_nodes_for_task,
            "GetDynamicNodeWorkflow": self._dynamic_workflow,
            "GetTaskExecution": self._get_attempt,
            "ListTaskExecutions": self._list_attempts,
        }

    def _get_node(self, request: node_execution_pb2.NodeExecutionGetRequest) -> bytes:
        message: bytes = self._runs.node(request.id)[1]
        return message

    def _list_nodes(self, request: node_execution_pb2.NodeExecutionListRequest) -> bytes:
        if not request.HasField("workflow_execution_id"):
            raise missing("execution_id")
        run = request.workflow_execution_id
        check_fields(run, "project", "domain", "name")
        check_limit(request.limit)
        if request.unique_parent_id:
            parent = self._runs.node(
                identifier_pb2.NodeExecutionIdentifier(
                    execution_id=run, node_id=request.unique_parent_id
                )
            )
            below = Condition("node_executions.parent_id = ?", (parent[0],))
        else:
            # Without a parent a list has the nodes of the workflow itself, not of sub-workflows.
            below = Condition("node_executions.parent_id IS NULL", ())
        found = page(
            self._parts.database,
            NODE_EXECUTION,
            [*_of(run, NODE_EXECUTION), below, *parse_filters(request.filters, NODE_EXECUTION)],
            select="node_executions.message, node_executions.error_code",
            order=order_by(request.sort_by, NODE_EXECUTION),
            limit=request.limit,
            offset=offset_of(request.token, "ListNodeExecutions"),
        )
        return message_list([_listed(*row) for row in found.rows], found.token)

    def _list_nodes_for_task(
        self, request: node_execution_pb2.NodeExecutionForTaskListRequest
    ) -> bytes:
        """Return an empty list, once the attempt is found.

        Nodes that a dynamic task makes are listed below its node (`unique_parent_id`), as FlyteAdmin
        lists them for events of version 1.
        """
        if not request.HasField("task_execution_id"):
            raise missing("task_execution_id")
        self._runs.attempt(request.task_execution_id)
        return b""

    def _dynamic_workflow(
        self, request: node_execution_pb2.GetDynamicNodeWorkflowRequest
    ) -> node_execution_pb2.DynamicNodeWorkflowResponse:
        uri = self._runs.dynamic_workflow(request.id)[1]
        if not uri:
            raise Refused("NOT_FOUND", "node does not contain dynamic workflow")
        return node_execution_pb2.DynamicNodeWorkflowResponse(
            compiled_workflow=dynamic_closure(self._parts.blobs, uri)
        )

    def _get_attempt(self, request: task_execution_pb2.TaskExecutionGetRequest) -> bytes:
        if not request.HasField("id"):
            raise missing("id")
        return self._runs.attempt(request.id)

    def _list_attempts(self, request: task_execution_pb2.TaskExecutionListRequest) -> bytes:
        node = request.node_execution_id
        if not request.HasField("node_execution_id") or not node.HasField("execution_id"):
            raise missing("node_execution_id" if not node.node_id else "execution_id")
        check_fields(node.execution_id, "project", "domain", "name")
        check_fields(node, "node_id")
        check_limit(request.limit)
        found = page(
            self._parts.database,
            TASK_EXECUTION,
            [
                *_of(node.execution_id, TASK_EXECUTION),
                *equals(TASK_EXECUTION, node_id=node.node_id),
                *parse_filters(request.filters, TASK_EXECUTION),
            ],
            select="task_executions.message",
            order=order_by(request.sort_by, TASK_EXECUTION),
            limit=request.limit,
            offset=offset_of(request.token, "ListTaskExecutions"),
        )
        messages = [whole(row[0], self._parts.database.all) for row in found.rows]
        return message_list(messages, found.token)


def _of(run: identifier_pb2.WorkflowExecutionIdentifier, resource: Resource) -> list[Condition]:
    table = resource.table
    return [
        Condition(f"{table}.execution_project = ?", (run.project,)),
        Condition(f"{table}.execution_domain = ?", (run.domain,)),
        Condition(f"{table}.execution_name = ?", (run.name,)),
    ]


def _listed(message: bytes, error_code: "str | None") -> bytes:
    """Return a node's message as lists show it: an error above 100 bytes is cut, as in FlyteAdmin."""
    if error_code is None:
        return message
    node = node_execution_pb2.NodeExecution.FromString(message)
    text = node.closure.error.message.encode()
    if len(text) > _MAX_LISTED_ERROR:
        # The cut may fall inside of a character.
        node.closure.error.message = text[:_MAX_LISTED_ERROR].decode(errors="ignore")
    return node.SerializeToString()
