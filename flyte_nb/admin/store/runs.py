"""Read and write the rows of executions, and read those of their nodes and attempts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flyteidl.admin import execution_pb2, node_execution_pb2
from flyteidl.core import identifier_pb2

from flyte_nb.admin.map_elements import whole
from flyte_nb.admin.refused import Refused, exists, not_found
from flyte_nb.admin.store.database import Database, Row, Transaction
from flyte_nb.admin.store.schema import OF_EXECUTION, UNFINISHED
from flyte_nb.api.identifiers import ExecutionId


class StoredRun(NamedTuple):
    """The columns of an execution's row that the services use."""

    row_id: int
    message: bytes
    workflow_row: int
    inputs_uri: str
    user_inputs_uri: str
    phase: str
    installations: int

    def execution(self) -> execution_pb2.Execution:
        """Return the message, parsed."""
        return execution_pb2.Execution.FromString(self.message)


class Runs:
    """The rows of all executions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, id: identifier_pb2.WorkflowExecutionIdentifier) -> StoredRun:
        """Return the row of an execution.

        Raises:
            Refused: `NOT_FOUND`.
        """
        row = self._database.one(
            "SELECT id, message, workflow_id, inputs_uri, user_inputs_uri, phase, installations"
            f" FROM executions WHERE {OF_EXECUTION}",
            (id.project, id.domain, id.name),
        )
        if row is None:
            raise not_found("execution", id)
        return StoredRun(*row)

    def add(
        self, transaction: Transaction, id: ExecutionId, now: str, columns: "dict[str, Any]"
    ) -> int:
        """Store a new execution; return the id of its row.

        Args:
            transaction: The transaction that writes it.
            id: The name of the execution.
            now: The time as text, see `moments.text`.
            columns: The other columns.

        Raises:
            Refused: `ALREADY_EXISTS`, when the project and domain have an execution of that name.
        """
        # Asked inside the transaction. There is one writer, so nobody takes the name in between.
        if transaction.one(f"SELECT 1 FROM executions WHERE {OF_EXECUTION}", id) is not None:
            raise exists(
                f"An execution named {id.name} already exists in {id.project}/{id.domain}."
                " Choose another name, or send none; then the backend makes one up."
            )
        return transaction.insert(
            "executions",
            {
                "created_at": now,
                "updated_at": now,
                "execution_created_at": now,
                "execution_updated_at": now,
                "execution_project": id.project,
                "execution_domain": id.domain,
                "execution_name": id.name,
                **columns,
            },
        )

    def tag(
        self,
        transaction: Transaction,
        id: ExecutionId,
        now: str,
        tags: "Sequence[tuple[str, str]]",
    ) -> None:
        """Store labels and tags, so that lists can be filtered by them."""
        transaction.execute_many(
            "INSERT INTO execution_tags (created_at, updated_at, execution_project,"
            " execution_domain, execution_name, key, value) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(now, now, *id, key, value) for key, value in tags],
        )

    def unfinished_ids(self) -> list[ExecutionId]:
        """Return the ids of the executions that have not ended."""
        rows = self._database.all(
            "SELECT execution_project, execution_domain, execution_name FROM executions"
            f" WHERE {UNFINISHED}"
        )
        return [ExecutionId(*row) for row in rows]

    def unfinished(self) -> list[execution_pb2.Execution]:
        """Return the executions that have not ended, oldest first."""
        rows = self._database.all(f"SELECT message FROM executions WHERE {UNFINISHED} ORDER BY id")
        return [execution_pb2.Execution.FromString(row[0]) for row in rows]

    def node(self, id: identifier_pb2.NodeExecutionIdentifier) -> Row:
        """Return `id, message` of a node's row.

        Raises:
            Refused: `NOT_FOUND`.
        """
        run = id.execution_id
        row = self._database.one(
            f"SELECT id, message FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?",
            (run.project, run.domain, run.name, id.node_id),
        )
        if row is None:
            raise not_found("node execution", id)
        return row

    def dynamic_workflow(
        self, id: identifier_pb2.NodeExecutionIdentifier
    ) -> "tuple[node_execution_pb2.NodeExecution, str]":
        """Return a node, and the URI of the compiled workflow that its dynamic task made, or an empty one.

        Raises:
            Refused: `NOT_FOUND`.
        """
        row_id, message = self.node(id)
        (uri,) = self._database.all(
            "SELECT dynamic_workflow_remote_closure_reference FROM node_executions WHERE id = ?",
            (row_id,),
        )[0]
        return node_execution_pb2.NodeExecution.FromString(message), uri

    def attempt(self, id: identifier_pb2.TaskExecutionIdentifier) -> bytes:
        """Return an attempt's message, serialized.

        Raises:
            Refused: `NOT_FOUND`.
        """
        node, task = id.node_execution_id, id.task_id
        run = node.execution_id
        row = self._database.one(
            f"SELECT message FROM task_executions WHERE {OF_EXECUTION} AND node_id = ? AND"
            " retry_attempt = ? AND project = ? AND domain = ? AND name = ? AND version = ?",
            (
                *(run.project, run.domain, run.name, node.node_id, id.retry_attempt),
                *(task.project, task.domain, task.name, task.version),
            ),
        )
        if row is None:
            raise not_found("task execution", id)
        return whole(row[0], self._database.all)

    def attempt_number(
        self, id: identifier_pb2.NodeExecutionIdentifier, retry_attempt: int
    ) -> bytes:
        """Return the message of a node's attempt of that number (from 0), serialized.

        Raises:
            Refused: `NOT_FOUND`.
        """
        run = id.execution_id
        row = self._database.one(
            f"SELECT message FROM task_executions WHERE {OF_EXECUTION} AND node_id = ? AND"
            " retry_attempt = ? ORDER BY id",
            (run.project, run.domain, run.name, id.node_id, retry_attempt),
        )
        if row is None:
            raise Refused("NOT_FOUND", f"task execution {retry_attempt} of {id.node_id} not found")
        return whole(row[0], self._database.all)
