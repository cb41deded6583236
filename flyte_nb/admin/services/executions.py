"""Create, read, abort and relaunch executions.

The rule for every change: commit it to the store, and only then let the engine act. An execution
that a client got an answer for is in the database, so a kill at any moment loses none.
Source: flyteadmin/pkg/manager/impl/execution_manager.go at v1.16.8.
"""

import logging
from typing import Protocol

from flyteidl.admin import common_pb2, event_pb2, execution_pb2, launch_plan_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, literals_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.enums import check_enum
from flyte_nb.admin.node_ids import check_node_ids
from flyte_nb.admin.recorder import ExecutionRows, SqliteRecorder, failed
from flyte_nb.admin.refused import Refused, invalid, missing, precondition
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.attributes import Attributes
from flyte_nb.admin.services.launch_targets import (
    LaunchTarget,
    LaunchTargets,
    check_request,
    merged_inputs,
    new_name,
)
from flyte_nb.admin.services.rules import check_fields, check_limit
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.installations import last_installation
from flyte_nb.admin.store.listing import equals, message_list, offset_of, page
from flyte_nb.admin.store.resources import EXECUTION
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.transformers import EXECUTION_PHASES
from flyte_nb.admin.watch import Feed
from flyte_nb.api.errors import CompileFailed, FlyteNbError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, ExecutionId
from flyte_nb.api.phases import ABORTING, ENDED_EXECUTION, UNDEFINED
from flyte_nb.propeller.engine import Launch
from flyte_nb.wire.identifiers import execution_id_from_idl, execution_id_to_idl

_LOG = logging.getLogger(__name__)
_ABORTING = EXECUTION_PHASES.Value(ABORTING)
_MAX_LISTED_ERROR = 100


class Propeller(Protocol):
    """The part of propeller's `Engine` that the backend calls."""

    def launch(self, launch: Launch) -> None:
        """Start a new execution."""
        ...

    def resume(self, launch: Launch) -> None:
        """Continue an execution after a restart of the backend."""
        ...

    def terminate(self, id: ExecutionId, cause: str) -> bool:
        """Abort an execution; return whether it runs in this engine."""
        ...

    def close(self) -> None:
        """Stop moving executions. Attempts that run go on."""
        ...


class Executions:
    """Serve the calls on executions, and hand new executions to the engine."""

    def __init__(
        self,
        parts: Parts,
        targets: LaunchTargets,
        recorder: SqliteRecorder,
        engine: Propeller,
        feed: Feed,
    ) -> None:
        self._parts = parts
        self._targets = targets
        self._recorder = recorder
        self._engine = engine
        self._feed = feed
        self._runs = Runs(parts.database)
        self._attributes = Attributes(parts)

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "CreateExecution": self._create,
            "RelaunchExecution": self._relaunch,
            "GetExecution": self._get,
            "ListExecutions": self._list,
            "UpdateExecution": self._update,
            "TerminateExecution": self._terminate,
        }

    def resume_all(self) -> None:
        """Give the engine every execution that has not ended. Called once, when the backend starts.

        An execution that cannot be resumed, e.g. because its inputs were deleted, is recorded as failed.
        """
        for execution in self._runs.unfinished():
            id = execution_id_from_idl(execution.id)
            try:
                self._engine.resume(self._launch(execution))
            except FlyteNbError as error:
                # One execution that cannot be resumed must not keep the others from running.
                self._fail(id, "FailedPrecondition", error)
                continue
            if execution.closure.phase == _ABORTING:
                self._engine.terminate(id, execution.closure.abort_metadata.cause)

    # --- create -----------------------------------------------------------------------------

    def _create(
        self, request: execution_pb2.ExecutionCreateRequest
    ) -> execution_pb2.ExecutionCreateResponse:
        # `inputs` of the spec is deprecated in flyteidl, and FlyteAdmin still reads it.
        if not request.inputs.literals and request.spec.inputs.literals:
            request.inputs.CopyFrom(request.spec.inputs)
        check_request(self._parts, request)
        target = self._targets.find(request.spec.launch_plan)
        inputs = merged_inputs(
            request.inputs.literals,
            target.launch_plan.spec.fixed_inputs.literals,
            target.launch_plan.closure.expected_inputs.parameters,
        )
        id = ExecutionId(request.project, request.domain, request.name or new_name())
        execution = self._store(id, request, target, inputs)
        _LOG.info("execution %s of %s was created", id, request.spec.launch_plan.name)
        try:
            self._engine.launch(self._launch(execution))
        except CompileFailed as error:
            # The execution exists, so it has to end. FlyteAdmin refuses the call for tasks only.
            self._fail(id, "InvalidArgument", error)
            if request.spec.launch_plan.resource_type == identifier_pb2.TASK:
                raise invalid(str(error)) from error
        return execution_pb2.ExecutionCreateResponse(id=execution.id)

    def _store(
        self,
        id: ExecutionId,
        request: execution_pb2.ExecutionCreateRequest,
        target: LaunchTarget,
        inputs: literals_pb2.LiteralMap,
    ) -> execution_pb2.Execution:
        """Write the inputs and commit the execution; return its message.

        Raises:
            Refused: `ALREADY_EXISTS`, when the project and domain have an execution of that name.
        """
        folder = f"{self._parts.storage_root}/metadata/{id.project}/{id.domain}/{id.name}"
        inputs_uri, user_inputs_uri = f"{folder}/inputs", f"{folder}/user_inputs"
        at_us = self._parts.clock()
        now = moments.text(at_us)
        execution = _new_execution(id, request, target, at_us, self._parts.principal)
        columns = {
            "launch_plan_id": target.launch_plan_row,
            "workflow_id": target.workflow_row,
            "task_id": target.task_row,
            "phase": UNDEFINED,
            "mode": execution.spec.metadata.mode,
            "inputs_uri": inputs_uri,
            "user_inputs_uri": user_inputs_uri,
            "user": self._parts.principal,
            "state": execution_pb2.EXECUTION_ACTIVE,
            "launch_entity": TASK if target.task_row is not None else LAUNCH_PLAN,
            "message": execution.SerializeToString(),
        }
        tags = [(tag, "") for tag in execution.spec.tags]
        tags += sorted(execution.spec.labels.values.items())
        with self._parts.database.write() as transaction:
            # Read in the same transaction: registrations after this commit do not count.
            columns["installations"] = last_installation(transaction)
            self._runs.add(transaction, id, now, columns)
            self._runs.tag(transaction, id, now, tags)
            # The inputs are written inside the transaction: `add` has checked the name by now, so
            # a taken name cannot overwrite the other execution's inputs, and a write that fails
            # rolls the row back.
            self._parts.blobs.write(inputs_uri, inputs.SerializeToString())
            self._parts.blobs.write(user_inputs_uri, request.inputs.SerializeToString())
        return execution

    def _launch(self, execution: execution_pb2.Execution) -> Launch:
        """Return what the engine needs to run `execution`, read from the store alone.

        A new execution and one that is resumed take this same way, so they run with the same values.

        Raises:
            CompileFailed: A node has an id that cannot name a folder.
        """
        stored = self._runs.get(execution.id)
        workflow = workflow_pb2.Workflow.FromString(
            self._parts.workflows.message(execution.closure.workflow_id)
        )
        # Workflows are checked when registered, but an earlier release accepted any id.
        check_node_ids(workflow.closure.compiled_workflow)
        spec, plan = execution.spec, self._plan_spec(execution.spec.launch_plan)
        # From the most general to the most specific, as in FlyteAdmin: the last one that is set wins.
        asked = (self._attributes.of(execution.id.project, execution.id.domain), plan, spec)
        prefixes = [each.raw_output_data_config.output_location_prefix for each in asked]
        return Launch(
            id=execution_id_from_idl(execution.id),
            closure=workflow.closure.compiled_workflow,
            inputs=literals_pb2.LiteralMap.FromString(self._parts.blobs.read(stored.inputs_uri)),
            raw_output_prefix=next(filter(None, reversed(prefixes)), ""),
            envs={pair.key: pair.value for each in asked for pair in each.envs.values},
            max_parallelism=next(filter(None, (each.max_parallelism for each in asked[::-1])), 0),
            overwrite_cache=any(each.overwrite_cache for each in asked),
        )

    def _plan_spec(self, reference: identifier_pb2.Identifier) -> launch_plan_pb2.LaunchPlanSpec:
        if reference.resource_type == identifier_pb2.TASK:
            return launch_plan_pb2.LaunchPlanSpec()
        message = self._parts.launch_plans.message(reference)
        return launch_plan_pb2.LaunchPlan.FromString(message).spec

    def _fail(self, id: ExecutionId, code: str, error: Exception) -> None:
        _LOG.warning("execution %s cannot run: %s", id, error)
        self._recorder.record(id, failed(self._parts.clock(), code, str(error), "USER"))

    def _relaunch(
        self, request: execution_pb2.ExecutionRelaunchRequest
    ) -> execution_pb2.ExecutionCreateResponse:
        _check_id(request)
        stored = self._runs.get(request.id)
        former = stored.execution()
        again = execution_pb2.ExecutionCreateRequest(
            project=request.id.project,
            domain=request.id.domain,
            name=request.name,
            spec=former.spec,
            inputs=literals_pb2.LiteralMap.FromString(
                self._parts.blobs.read(stored.user_inputs_uri)
            ),
        )
        metadata = again.spec.metadata
        metadata.mode = execution_pb2.ExecutionMetadata.RELAUNCH
        metadata.reference_execution.CopyFrom(request.id)
        again.spec.overwrite_cache = request.overwrite_cache
        return self._create(again)

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

    def _terminate(
        self, request: execution_pb2.ExecutionTerminateRequest
    ) -> execution_pb2.ExecutionTerminateResponse:
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


def _new_execution(
    id: ExecutionId,
    request: execution_pb2.ExecutionCreateRequest,
    target: LaunchTarget,
    at_us: int,
    principal: str,
) -> execution_pb2.Execution:
    execution = execution_pb2.Execution(
        id=execution_id_to_idl(id),
        spec=request.spec,
        closure=execution_pb2.ExecutionClosure(
            created_at=moments.stamp(at_us),
            updated_at=moments.stamp(at_us),
            workflow_id=target.workflow_id,
        ),
    )
    execution.spec.ClearField("inputs")
    execution.spec.metadata.principal = principal
    for field in ("labels", "annotations"):
        for key, value in getattr(target.launch_plan.spec, field).values.items():
            if key not in getattr(execution.spec, field).values:
                getattr(execution.spec, field).values[key] = value
    details = execution.closure.state_change_details
    details.state = execution_pb2.EXECUTION_ACTIVE
    details.principal = principal
    details.occurred_at.CopyFrom(moments.stamp(at_us))
    return execution


def _listed(message: bytes, error_code: "str | None") -> bytes:
    """Return an execution's message as lists show it: an error above 100 bytes is cut, as in FlyteAdmin."""
    if error_code is None:
        return message
    execution = execution_pb2.Execution.FromString(message)
    text = execution.closure.error.message.encode()
    if len(text) > _MAX_LISTED_ERROR:
        cut = text[:_MAX_LISTED_ERROR].decode(errors="ignore")
        execution.closure.error.message = cut
    return execution.SerializeToString()


def _check_id(
    request: "execution_pb2.WorkflowExecutionGetRequest | execution_pb2.ExecutionUpdateRequest"
    " | execution_pb2.ExecutionTerminateRequest | execution_pb2.ExecutionRelaunchRequest",
) -> None:
    if not request.HasField("id"):
        raise missing("id")
    check_fields(request.id, "project", "domain", "name")


def _already_ended(phase: str) -> Refused:
    detail = event_pb2.EventFailureReason()
    detail.already_in_terminal_state.current_phase = phase
    return precondition("Cannot abort an already terminated workflow execution", detail)
