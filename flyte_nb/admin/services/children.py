"""Start, watch and end the executions of launch plan nodes: propeller's port, on this backend's services.

A child inherits from its parent what FlytePropeller and FlyteAdmin hand down: labels, annotations, the
identity it runs as, where raw data goes, the limit of parallelism, `interruptible`, `overwrite_cache` and
variables; and here also what the launching side lent, and the installations that were registered by then.

Source: flytepropeller/pkg/controller/nodes/subworkflow/launchplan/admin.go at v1.16.8.
"""

import sqlite3
from contextlib import suppress

from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2, literals_pb2

from flyte_nb.admin.lent import Lent
from flyte_nb.admin.refused import Refused
from flyte_nb.admin.service_parts import Parts
from flyte_nb.admin.services.executions import Executions
from flyte_nb.admin.services.launches import Launches
from flyte_nb.admin.store.runs import Runs, StoredRun
from flyte_nb.admin.transformers import EXECUTION_PHASES
from flyte_nb.api.errors import (
    USER,
    BackendError,
    ErrorInfo,
    StorageError,
    TaskFailed,
)
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import ChildLaunch, ChildState
from flyte_nb.wire.errors import execution_error_from_idl
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl

_NOT_FOUND = "NOT_FOUND"


class ChildExecutions:
    """Implements propeller's `Children`. The engine exists before the services, so these come by `serve`."""

    def __init__(self, lent: Lent) -> None:
        """Set up, without services.

        Args:
            lent: The loans. A child gets its parent's.
        """
        self._lent = lent
        self._services: _Services | None = None

    def serve(self, parts: Parts, launches: Launches, executions: Executions) -> None:
        """Start executions with these services from now on."""
        self._services = _Services(parts, launches, executions)

    def launch(self, child: ChildLaunch) -> None:
        """Start the execution. Nothing happens when this node has started it already.

        Raises:
            TaskFailed: when FlyteAdmin would refuse it; the code and the text are propeller's.
            StorageError: when it cannot be stored now.
        """
        services = self._opened()
        try:
            # Before the execution is there: its first attempt may start at once.
            loan = self._lent.of(child.parent)
            # An execution that exists keeps the loan that it has.
            if loan is not None and services.run(child.id) is None:
                self._lent.put(child.id, loan)
            services.create(child)
        except Refused as refused:
            # After a crash the node starts its execution again, and then it is there already.
            if refused.code != "ALREADY_EXISTS" or not services.is_child(child):
                # No execution came of it, so nothing else would remove the loan before the next start.
                if services.run(child.id) is None:
                    self._lent.remove(child.id)
                raise TaskFailed(_not_launched(refused)) from refused
        except (OSError, sqlite3.OperationalError) as error:
            raise StorageError(
                f"The execution {child.id.name} cannot be stored: {error}.", transient=True
            ) from error

    def state(self, id: ExecutionId) -> "ChildState | None":
        """Return how the execution stands; `None` when there is none.

        Raises:
            StorageError: when its outputs cannot be read.
        """
        services = self._opened()
        stored = services.run(id)
        if stored is None:
            return None
        closure = stored.execution().closure
        phase: str = EXECUTION_PHASES.Name(closure.phase)
        outputs = None
        if closure.outputs.uri:
            data = services.parts.blobs.read(closure.outputs.uri)
            outputs = literals_pb2.LiteralMap.FromString(data)
        error = execution_error_from_idl(closure.error) if closure.HasField("error") else None
        return ChildState(phase, outputs, error)

    def terminate(self, id: ExecutionId, cause: str) -> None:
        """Begin to abort the execution; nothing happens when it has ended, or there is none."""
        request = execution_pb2.ExecutionTerminateRequest(id=execution_id_to_idl(id), cause=cause)
        with suppress(Refused):
            self._opened().executions.terminate(request)

    def _opened(self) -> "_Services":
        if self._services is None:
            raise BackendError("The local backend is not running.", hint="Start it first.")
        return self._services


class _Services:
    """What the backend's services do for children."""

    def __init__(self, parts: Parts, launches: Launches, executions: Executions) -> None:
        self.parts = parts
        self.executions = executions
        self._launches = launches
        self._runs = Runs(parts.database)

    def run(self, id: ExecutionId) -> "StoredRun | None":
        """Return the row of an execution, or `None`."""
        try:
            return self._runs.get(execution_id_to_idl(id))
        except Refused:
            return None

    def is_child(self, child: ChildLaunch) -> bool:
        """Return whether the execution of that name was started by that node."""
        stored = self.run(child.id)
        if stored is None:
            return False
        parent = stored.execution().spec.metadata.parent_node_execution
        return bool(parent == _parent(child))

    def create(self, child: ChildLaunch) -> None:
        """Create the execution, with what it inherits; or recover the one that the node started before."""
        former = self.run(child.recovers) if child.recovers is not None else None
        # With other inputs the results of the former execution would be wrong.
        if former is not None and self._inputs(former) == child.inputs:
            recover = execution_pb2.ExecutionRecoverRequest(
                id=former.execution().id, name=child.id.name
            )
            recover.metadata.parent_node_execution.CopyFrom(_parent(child))
            self.executions.recover(recover)
            return
        parent = self._runs.get(execution_id_to_idl(child.parent)).execution()
        config = self._launches.config(parent)
        request = execution_pb2.ExecutionCreateRequest(
            project=child.id.project,
            domain=child.id.domain,
            name=child.id.name,
            inputs=child.inputs,
            spec=execution_pb2.ExecutionSpec(
                launch_plan=identifier_to_idl(child.launch_plan),
                labels=parent.spec.labels,
                annotations=parent.spec.annotations,
                max_parallelism=config.max_parallelism,
                overwrite_cache=config.overwrite_cache,
            ),
        )
        spec = request.spec
        spec.metadata.mode = execution_pb2.ExecutionMetadata.CHILD_WORKFLOW
        spec.metadata.parent_node_execution.CopyFrom(_parent(child))
        for field in ("raw_output_data_config", "security_context", "interruptible", "envs"):
            if config.HasField(field):
                getattr(spec, field).CopyFrom(getattr(config, field))
        self._launches.create(request)

    def _inputs(self, stored: StoredRun) -> literals_pb2.LiteralMap:
        return literals_pb2.LiteralMap.FromString(self.parts.blobs.read(stored.user_inputs_uri))


def _parent(child: ChildLaunch) -> "identifier_pb2.NodeExecutionIdentifier":
    return identifier_pb2.NodeExecutionIdentifier(
        node_id=child.node_id, execution_id=execution_id_to_idl(child.parent)
    )


def _not_launched(refused: Refused) -> ErrorInfo:
    """Return the error of a node whose execution was refused, as propeller gives it."""
    code = "".join(word.title() for word in refused.code.split("_"))
    text = (
        "[UserError] failed to launch workflow, caused by: rpc error:"
        f" code = {code} desc = {refused}"
    )
    return ErrorInfo("RuntimeExecutionError", text, USER)
