"""The nodes of executions that ran before, for one that recovers them: propeller's port, on the rows."""

from flyteidl.admin import node_execution_pb2
from flyteidl.core import catalog_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2

from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import FormerNode
from flyte_nb.wire.identifiers import execution_id_from_idl


class FormerRuns:
    """Implements propeller's `FormerNodes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def node(self, execution: ExecutionId, node_id: str) -> "FormerNode | None":
        """Return how that node stands; `None` when the execution has no such node."""
        row = self._database.one(
            "SELECT message, cache_key, dynamic_workflow_remote_closure_reference FROM node_executions"
            f" WHERE {OF_EXECUTION} AND node_id = ?",
            (*execution, node_id),
        )
        if row is None:
            return None
        node = node_execution_pb2.NodeExecution.FromString(row[0])
        closure, child, task = node.closure, None, node.closure.task_node_metadata
        if closure.HasField("workflow_node_metadata"):
            child = execution_id_from_idl(closure.workflow_node_metadata.executionId)
        # An enum that is not set reads as its first value, which would say that the cache was disabled.
        has_task = closure.HasField("task_node_metadata")
        return FormerNode(
            phase=core_execution_pb2.NodeExecution.Phase.Name(closure.phase),
            input_uri=node.input_uri,
            output_uri=closure.output_uri,
            cache_status=(
                catalog_pb2.CatalogCacheStatus.Name(task.cache_status) if has_task else ""
            ),
            cache_key=row[1],
            checkpoint_uri=task.checkpoint_uri if has_task else "",
            child_execution=child,
            deck_uri=closure.deck_uri,
            job_uri=closure.dynamic_job_spec_uri,
            workflow_uri=row[2],
        )
