"""Create, read, abort, relaunch and recover executions.

The rule for every change: commit it to the store, and only then let the engine act. An execution
that a client got an answer for is in the database, so a kill at any moment loses none.
Source: flyteadmin/pkg/manager/impl/execution_manager.go at v1.16.8.
"""

import logging

from flyteidl.admin import common_pb2, event_pb2, execution_pb2
from flyteidl.core import literals_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.enums import check_enum
from flyte_nb.admin.recorder import ExecutionRows
from flyte_nb.admin.refused import Refused, missing, precondition
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.launches import Launches, Propeller
from flyte_nb.admin.services.rules import check_fields, check_limit
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.listing import equals, message_list, offset_of, page
from flyte_nb.admin.store.resources import EXECUTION
from flyte_nb.admin.store.runs import Runs, StoredRun
from flyte_nb.admin.transformers import EXECUTION_PHASES
from flyte_nb.admin.watch import Feed
from flyte_nb.api.errors import FlyteNbError
from flyte_nb.api.phases import ABORTING, ENDED_EXECUTION
from flyte_nb.wire.identifiers import execution_id_from_idl

_LOG = logging.getLogger(__name__)
_ABORTING = EXECUTION_PHASES.Value(ABORTING)
_MAX_LISTED_ERROR = 100


class Executions:
    """Serve the calls on executions, and hand new executions to the engine."""

    def __init__(
        self,
        parts: Parts,
        launches: Launches,
        engine: Propeller,
        feed: Feed,
    ) -> None:
        self._parts = parts
        self._launches = launches
        self._engine = engine
        self._feed = feed
        self._runs = Runs(parts.database)

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "CreateExecution": self._create,
            "RelaunchExecution": self._relaunch,
            "RecoverExecution": self.recover,
            "GetExecution": self._get,
            "ListExecutions": self._list,
            "UpdateExecution": self._update,
            "TerminateExecution": self.terminate,
        }

    def resume_all(self) -> None:
        """Give the engine every execution that has not ended. Called once, when the backend starts.

        An execution that cannot be resumed, e.g. because its inputs were deleted, is recorded as failed.
        """
        # The newest first: a child is newer than the execution that waits for it, so one that cannot go on
        # has failed by the time when its parent looks.
        for execution in reversed(self._runs.unfinished()):
            id = execution_id_from_idl(execution.id)
            try:
                self._engine.resume(self._launches.launch(execution))
            except FlyteNbError as error:
                # One execution that cannot be resumed must not keep the others from running.
                self._launches.fail(id, "FailedPrecondition", error)
                continue
            if execution.closure.phase == _ABORTING:
                self._engine.terminate(id, execution.closure.abort_metadata.cause)

    # --- create -----------------------------------------------------------------------------

    def _create(
        self, request: execution_pb2.ExecutionCreateRequest
    ) -> execution_pb2.ExecutionCreateResponse:
        return self._launches.create(request)

    def _relaunch(
        self, request: execution_pb2.ExecutionRelaunchRequest
    ) -> execution_pb2.ExecutionCreateResponse:
        _check_id(request)
        stored = self._runs.get(request.id)
        again = self._again(stored, request.name)
        again.spec.metadata.mode = execution_pb2.ExecutionMetadata.RELAUNCH
        again.spec.overwrite_cache = request.overwrite_cache
        return self._launches.create(again, stored)

    def recover(
        self, request: execution_pb2.ExecutionRecoverRequest
    ) -> execution_pb2.ExecutionCreateResponse:
        """Launch an execution again. What succeeded in it before is taken over and does not run.

        Raises:
            Refused: `NOT_FOUND`, when there is no such execution; and whatever refuses a launch.
        """
        _check_id(request)
        stored = self._runs.get(request.id)
        again = self._again(stored, request.name)
        if request.HasField("metadata"):
            parent = request.metadata.parent_node_execution
            again.spec.metadata.parent_node_execution.CopyFrom(parent)
        again.spec.metadata.mode = execution_pb2.ExecutionMetadata.RECOVERED
        return self._launches.create(again, stored)

    def _again(self, stored: StoredRun, name: str) -> execution_pb2.ExecutionCreateRequest:
        """Return the request for an execution like a former one, with what its person gave as inputs."""
        former = stored.execution()
        again = execution_pb2.ExecutionCreateRequest(
            project=former.id.project,
            domain=former.id.domain,
            name=name,
            spec=former.spec,
            # Not the merged ones: fixed and default inputs come from the launch plan again.
            inputs=literals_pb2.LiteralMap.FromString(
                self._parts.blobs.read(stored.user_inputs_uri)
            ),
        )
        again.spec.metadata.reference_execution.CopyFrom(former.id)
        return again

    # --- read -------------------------------------------------------------------------------

    def _get(self, request: execution_pb2.WorkflowExecutionGetRequest) -> bytes:
        _check_id(request)
        return self._runs.get(request.id).message

    def _list(self, request: common_pb2.ResourceListRequest) -> bytes:
        if not request.HasField("id"):
            raise missing("id")
        check_fields(request.id, "project", "domain")
        check_limit(request.limit)
        conditions = parse_filters(request.filters, EXECUTION)
        # Archived executions are hidden unless the filter asks for a state, as in FlyteAdmin.
        if not any(condition.field == "state" for condition in conditions):
            active = execution_pb2.EXECUTION_ACTIVE
            conditions.append(Condition("executions.state = ?", (active,)))
        found = page(
            self._parts.database,
            EXECUTION,
            [
                *equals(
                    EXECUTION,
                    execution_project=request.id.project,
                    execution_domain=request.id.domain,
                    execution_name=request.id.name,
                ),
                *conditions,
            ],
            select="executions.message, executions.error_code",
            order=order_by(request.sort_by, EXECUTION),
            limit=request.limit,
            offset=offset_of(request.token, "ListExecutions"),
        )
        return message_list([_listed(*row) for row in found.rows], found.token)

    # --- change -----------------------------------------------------------------------------

    def _update(
        self, request: execution_pb2.ExecutionUpdateRequest
    ) -> execution_pb2.ExecutionUpdateResponse:
        _check_id(request)
        check_enum(execution_pb2.ExecutionState, request.state, "state")
        self._runs.get(request.id)
        at_us = self._parts.clock()
        with self._parts.database.write() as transaction:
            run = ExecutionRows(transaction, execution_id_from_idl(request.id))
            details = run.execution.closure.state_change_details
            details.state = request.state
            details.principal = self._parts.principal
            details.occurred_at.CopyFrom(moments.stamp(at_us))
            run.touch(at_us)
            transaction.update("executions", run.row_id, {"state": request.state})
            serial, changes = run.finish()
            transaction.after_commit(lambda: self._feed.publish(run.id, serial, changes))
        return execution_pb2.ExecutionUpdateResponse()

    def terminate(
        self, request: execution_pb2.ExecutionTerminateRequest
    ) -> execution_pb2.ExecutionTerminateResponse:
        """Begin to abort an execution; a second request changes nothing.

        Raises:
            Refused: `NOT_FOUND`; `FAILED_PRECONDITION`, when it has ended.
        """
        _check_id(request)
        self._runs.get(request.id)
        id = execution_id_from_idl(request.id)
        at_us = self._parts.clock()
        # ABORTING is committed before the engine hears of it: after a kill in between,
        # `resume_all` reads it and terminates the execution.
        with self._parts.database.write() as transaction:
            run = ExecutionRows(transaction, id)
            closure = run.execution.closure
            if EXECUTION_PHASES.Name(closure.phase) in ENDED_EXECUTION:
                raise _already_ended(EXECUTION_PHASES.Name(closure.phase))
            if closure.phase == _ABORTING:
                # The first cause stays; a second request changes nothing.
                return execution_pb2.ExecutionTerminateResponse()
            closure.phase = _ABORTING
            closure.abort_metadata.cause = request.cause
            closure.abort_metadata.principal = self._parts.principal
            closure.updated_at.CopyFrom(moments.stamp(at_us))
            run.touch(at_us)
            serial, changes = run.finish()
            transaction.after_commit(lambda: self._feed.publish(id, serial, changes))
        _LOG.info("execution %s is to be aborted: %s", id, request.cause)
        self._engine.terminate(id, request.cause)
        return execution_pb2.ExecutionTerminateResponse()


def _listed(message: bytes, error_code: "str | None") -> bytes:
    """Return an execution's message as lists show it: an error above 100 bytes is cut, as in FlyteAdmin."""
    if error_code is None:
        return message
    execution = execution_pb2.Execution.FromString(message)
    text = execution.closure.error.message.encode()
    if len(text) > _MAX_LISTED_ERROR:
        # The cut may fall inside of a character.
        cut = text[:_MAX_LISTED_ERROR].decode(errors="ignore")
        execution.closure.error.message = cut
    return execution.SerializeToString()


def _check_id(
    request: "execution_pb2.WorkflowExecutionGetRequest | execution_pb2.ExecutionUpdateRequest"
    " | execution_pb2.ExecutionTerminateRequest | execution_pb2.ExecutionRelaunchRequest"
    " | execution_pb2.ExecutionRecoverRequest",
) -> None:
    if not request.HasField("id"):
        raise missing("id")
    check_fields(request.id, "project", "domain", "name")


def _already_ended(phase: str) -> Refused:
    detail = event_pb2.EventFailureReason()
    detail.already_in_terminal_state.current_phase = phase
    return precondition("Cannot abort an already terminated workflow execution", detail)
