"""Propeller's recorder on SQLite: the engine's records and the rows they change, in one transaction.

What clients see and what the engine continues from after a restart are committed together, before
the engine acts. Watchers are woken after the commit, and before the next one.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2

from flyte_nb.admin import moments, watch
from flyte_nb.admin.map_elements import MapElements
from flyte_nb.admin.store.database import Database, Transaction
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.admin.transformers import (
    EXECUTION_PHASES,
    apply_attempt,
    apply_node,
    apply_workflow,
)
from flyte_nb.admin.watch import Change, Feed
from flyte_nb.api.errors import ErrorInfo, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import ARRAY_NODE
from flyte_nb.api.phases import ENDED_EXECUTION, ENDED_NODE, FAILED
from flyte_nb.propeller.ports import Gone
from flyte_nb.propeller.records import (
    CACHE_HIT,
    CACHE_POPULATED,
    AttemptRecord,
    ElementRecord,
    NodeRecord,
    Record,
    WorkflowRecord,
    from_plain,
    to_plain,
)

_LOG = logging.getLogger(__name__)
_Closure = (
    execution_pb2.ExecutionClosure
    | node_execution_pb2.NodeExecutionClosure
    | task_execution_pb2.TaskExecutionClosure
)


class SqliteRecorder:
    """Implements propeller's `Recorder`."""

    def __init__(
        self,
        database: Database,
        feed: Feed,
        on_end: "Callable[[ExecutionId], object]" = lambda execution: None,
    ) -> None:
        """Set up the recorder.

        Args:
            database: The metastore.
            feed: Gets the changes of each commit.
            on_end: Called with an execution once its end is durable.
        """
        self._database = database
        self._feed = feed
        self._on_end = on_end

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Store `records` and the rows they change, all or nothing; durable when this returns.

        Raises:
            StorageError: when the database cannot be written now, e.g. on a full disk. It is transient.
            Gone: when there is no such execution.
        """
        try:
            with self._database.write() as transaction:
                run = ExecutionRows(transaction, execution)
                # All records of a step at once: a client never sees a node that succeeded in an
                # execution whose next node does not exist yet.
                for record in records:
                    run.apply(record)
                run.keep(records)
                self._publish_after(transaction, run)
            # After the commit: an end that was not durable must not take the execution's loan.
            for record in records:
                if isinstance(record, WorkflowRecord):
                    _LOG.info("execution %s: %s", execution, record.phase)
                    if record.phase in ENDED_EXECUTION:
                        self._on_end(execution)
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"Changes of execution {execution} cannot be written: {error}.",
                transient=True,
                hint="Free some space on the disk if it is full; then the execution continues.",
            ) from error

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return every record of that execution, in the order in which they were recorded."""
        # By row id: records of one commit have the same time.
        rows = self._database.all(
            "SELECT record FROM history WHERE execution_id ="
            f" (SELECT id FROM executions WHERE {OF_EXECUTION}) ORDER BY id",
            execution,
        )
        return [from_plain(json.loads(row[0])) for row in rows]

    def _publish_after(self, transaction: Transaction, run: "ExecutionRows") -> None:
        serial, changes = run.finish()
        transaction.after_commit(lambda: self._feed.publish(run.id, serial, changes))


class ExecutionRows:
    """The rows of one execution within one transaction.

    Raises:
        Gone: when there is no such execution.
    """

    def __init__(self, transaction: Transaction, id: ExecutionId) -> None:
        self.id = id
        self._transaction = transaction
        row = transaction.one(
            f"SELECT id, serial, message FROM executions WHERE {OF_EXECUTION}", id
        )
        if row is None:
            raise Gone(f"There is no execution {id}, so no change of it can be recorded.")
        self.row_id: int = row[0]
        self._serial: int = row[1]
        self.execution = execution_pb2.Execution.FromString(row[2])
        self._columns: dict[str, Any] = {}
        self._changes: list[Change] = []
        self._maps: dict[str, MapElements] = {}  # by node id, of the maps that have news

    def apply(self, record: Record) -> None:
        """Change the rows as `record` says. The row of the execution itself is written by `finish`."""
        if isinstance(record, WorkflowRecord):
            apply_workflow(self.execution, record)
            self.touch(record.at_us)
        elif isinstance(record, NodeRecord):
            self._apply_node(record)
            if record.kind == ARRAY_NODE and record.phase in ENDED_NODE:
                self._end_map(record)
        elif isinstance(record, ElementRecord):
            self._apply_element(record)
        else:
            self._apply_attempt(record)

    def touch(self, at_us: int) -> None:
        """Note that the execution's message changed, and update the columns that are made from it."""
        # Several records of one commit may change it; the last one's columns are written.
        closure = self.execution.closure
        self._columns |= {
            "message": self.execution.SerializeToString(),
            # Columns repeat what filters and sort keys name; the message alone is sent.
            "phase": EXECUTION_PHASES.Name(closure.phase),
            "updated_at": moments.text(at_us),
            "execution_updated_at": moments.text(at_us),
            "started_at": _text(closure, "started_at"),
            "duration": _nanoseconds(closure),
            "output_uri": closure.outputs.uri,
        }
        if closure.HasField("error"):
            self._columns |= _error_columns(closure.error)
        if closure.HasField("abort_metadata"):
            self._columns["abort_cause"] = closure.abort_metadata.cause

    def has_children(self, node_id: str) -> None:
        """Note that there is a node inside of this one. Events of branch nodes do not say so themselves."""
        found = self._transaction.one(
            f"SELECT id, message FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?",
            (*self.id, node_id),
        )
        if found is None:
            return
        node = node_execution_pb2.NodeExecution.FromString(found[1])
        if not node.metadata.is_parent_node:
            node.metadata.is_parent_node = True
            message = node.SerializeToString()
            self._transaction.update("node_executions", found[0], {"message": message})
            self._changes.append(Change(watch.NODE_EXECUTION, (node_id,), message))

    def keep(self, records: Sequence[Record]) -> None:
        """Store `records` themselves. After a restart the engine replays them."""
        self._transaction.execute_many(
            "INSERT INTO history (execution_id, record) VALUES (?, ?)",
            [(self.row_id, json.dumps(to_plain(record))) for record in records],
        )

    def finish(self) -> "tuple[int, list[Change]]":
        """Write the execution's row; return this commit's serial and every message it changed."""
        for elements in self._maps.values():
            self._store_map(elements)
        # The serial grows with every commit, also when only nodes changed: watchers compare it with
        # that of their snapshot.
        if "message" in self._columns:
            self._changes.append(Change(watch.EXECUTION, (), self._columns["message"]))
        self._transaction.update(
            "executions", self.row_id, {**self._columns, "serial": self._serial + 1}
        )
        return self._serial + 1, self._changes

    def _apply_node(self, record: NodeRecord) -> None:
        found = self._transaction.one(
            f"SELECT id, message FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?",
            (*self.id, record.node_id),
        )
        node = (
            node_execution_pb2.NodeExecution.FromString(found[1])
            if found is not None
            else node_execution_pb2.NodeExecution()
        )
        apply_node(node, self.id, record)
        if record.cache_status == CACHE_HIT:
            self._name_source(node, record.cache_key)
        # The same bytes go into the row and to the watchers.
        message = node.SerializeToString()
        columns = {
            "updated_at": moments.text(record.at_us),
            "phase": record.phase,
            "input_uri": node.input_uri,
            "output_uri": node.closure.output_uri,
            "started_at": _text(node.closure, "started_at"),
            "node_execution_updated_at": moments.text(record.at_us),
            "duration": _nanoseconds(node.closure),
            "cache_status": record.cache_status or None,
            **({"cache_key": record.cache_key} if record.cache_key else {}),
            "message": message,
            **(
                {"dynamic_workflow_remote_closure_reference": record.workflow_uri}
                if record.workflow_uri
                else {}
            ),
            **(_error_columns(node.closure.error) if record.error is not None else {}),
        }
        if found is not None:
            self._transaction.update("node_executions", found[0], columns)
        else:
            # A parent is recorded before its nodes, so its row is there.
            parent = self._transaction.one(
                f"SELECT id FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?",
                (*self.id, record.parent_id),
            )
            self._transaction.insert(
                "node_executions",
                {
                    **self._run_columns(),
                    "created_at": moments.text(record.at_us),
                    "node_execution_created_at": moments.text(record.at_us),
                    "node_id": record.node_id,
                    "parent_id": parent[0] if parent is not None else None,
                    **columns,
                },
            )
        self._changes.append(Change(watch.NODE_EXECUTION, (record.node_id,), message))

    def _name_source(self, node: node_execution_pb2.NodeExecution, key: str) -> None:
        """Enter the attempt that computed a result that was found in the catalog, if it is known here."""
        metadata = node.closure.task_node_metadata.catalog_key
        row = self._transaction.one(
            "SELECT task.message FROM node_executions AS node JOIN task_executions AS task USING"
            " (execution_project, execution_domain, execution_name, node_id)"
            " WHERE node.cache_key = ? AND node.cache_status = ? ORDER BY node.id DESC, task.id DESC",
            (key, CACHE_POPULATED),
        )
        if row is not None:
            source = task_execution_pb2.TaskExecution.FromString(row[0]).id
            metadata.source_task_execution.CopyFrom(source)

    def _apply_element(self, record: ElementRecord) -> None:
        """Change the rows of elements. Their map's own row is written once for all records of a commit."""
        elements = self._maps.get(record.node_id)
        if elements is None:
            elements = MapElements(self._transaction, self.row_id, self.id, record.node_id)
            self._maps[record.node_id] = elements
        elements.apply(record)

    def _store_map(self, elements: MapElements) -> None:
        task = elements.message()
        if task is not None:
            self._apply_attempt(elements.attempt(), task, elements.news)

    def _end_map(self, record: NodeRecord) -> None:
        elements = self._maps.pop(record.node_id, None)
        if elements is None:
            elements = MapElements(self._transaction, self.row_id, self.id, record.node_id)
        elements.end(record)
        self._store_map(elements)

    def _apply_attempt(
        self,
        record: AttemptRecord,
        known: "task_execution_pb2.TaskExecution | None" = None,
        news: bytes = b"",
    ) -> None:
        """Change the row of an attempt.

        Args:
            record: What happened.
            known: The message as it is, if the caller has it.
            news: For a map: bytes that watchers get with the message. The row has them in `elements`.
        """
        task_id = record.task_id
        key = (
            *(*self.id, record.node_id, record.attempt),
            *(task_id.project, task_id.domain, task_id.name, task_id.version),
        )
        found = self._transaction.one(
            f"SELECT id, message FROM task_executions WHERE {OF_EXECUTION} AND node_id = ? AND"
            " retry_attempt = ? AND project = ? AND domain = ? AND name = ? AND version = ?",
            key,
        )
        task = known
        if task is None:
            task = task_execution_pb2.TaskExecution.FromString(found[1] if found else b"")
        apply_attempt(task, self.id, record)
        message = task.SerializeToString()
        self._store_attempt(record, task, message, found[0] if found is not None else None)
        self._changes.append(
            Change(
                watch.TASK_EXECUTION,
                (record.node_id, record.attempt),
                message + news,
                is_part=known is not None,
            )
        )

    def _store_attempt(
        self,
        record: AttemptRecord,
        task: task_execution_pb2.TaskExecution,
        message: bytes,
        row_id: "int | None",
    ) -> None:
        task_id = record.task_id
        columns = {
            "updated_at": moments.text(record.at_us),
            "phase": record.phase,
            "phase_version": record.phase_version,
            "input_uri": task.input_uri,
            "output_uri": task.closure.output_uri,
            "started_at": _text(task.closure, "started_at"),
            "task_execution_updated_at": moments.text(record.at_us),
            "duration": _nanoseconds(task.closure),
            "message": message,
        }
        if row_id is not None:
            self._transaction.update("task_executions", row_id, columns)
        else:
            self._transaction.insert(
                "task_executions",
                {
                    **self._run_columns(),
                    "created_at": moments.text(record.at_us),
                    "task_execution_created_at": moments.text(record.at_us),
                    "node_id": record.node_id,
                    "retry_attempt": record.attempt,
                    "project": task_id.project,
                    "domain": task_id.domain,
                    "name": task_id.name,
                    "version": task_id.version,
                    **columns,
                },
            )

    def _run_columns(self) -> dict[str, str]:
        return {
            "execution_project": self.id.project,
            "execution_domain": self.id.domain,
            "execution_name": self.id.name,
        }


def failed(at_us: int, code: str, message: str, origin: str) -> list[Record]:
    """Return the record of an execution that fails before its first node."""
    error = ErrorInfo(code=code, message=message, origin=origin)
    return [WorkflowRecord(at_us, FAILED, error)]


def _text(closure: _Closure, field: str) -> "str | None":
    if not closure.HasField(field):
        return None
    return moments.text(moments.stamp_us(getattr(closure, field)))


def _nanoseconds(closure: _Closure) -> "int | None":
    if not closure.HasField("duration"):
        return None
    return int(closure.duration.seconds) * 10**9 + int(closure.duration.nanos)


def _error_columns(error: core_execution_pb2.ExecutionError) -> dict[str, str]:
    kinds = core_execution_pb2.ExecutionError.ErrorKind
    return {"error_kind": kinds.Name(error.kind), "error_code": error.code}
