"""Create executions, by a call or for a node of another execution, and hand them to the engine.

The rule for every change: commit it to the store, and only then let the engine act. An execution
that a client got an answer for is in the database, so a kill at any moment loses none.
Source: flyteadmin/pkg/manager/impl/execution_manager.go at v1.16.8.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from flyteidl.admin import execution_pb2, launch_plan_pb2, matchable_resource_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, literals_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.recorder import SqliteRecorder, failed
from flyte_nb.admin.refused import invalid, precondition
from flyte_nb.admin.service_parts import Parts
from flyte_nb.admin.services.attributes import Attributes
from flyte_nb.admin.services.launch_targets import (
    LaunchTarget,
    LaunchTargets,
    check_request,
    merged_inputs,
    new_name,
)
from flyte_nb.admin.store.installations import last_installation
from flyte_nb.admin.store.runs import Runs, StoredRun
from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, ExecutionId
from flyte_nb.api.phases import UNDEFINED
from flyte_nb.propeller.engine import Launch
from flyte_nb.propeller.growth import growth_limits, too_nested
from flyte_nb.propeller.node_ids import check_node_ids
from flyte_nb.propeller.waits import Wait
from flyte_nb.wire.identifiers import execution_id_from_idl, execution_id_to_idl

_LOG = logging.getLogger(__name__)


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

    def waits(self, id: ExecutionId) -> "Mapping[str, Wait]":
        """Return what the nodes of an execution wait for, by node id."""
        ...

    def close(self) -> None:
        """Stop moving executions. Attempts that run go on."""
        ...


class _Origin(NamedTuple):
    """The row of the execution and of its node that launched another one."""

    node_row: int
    run: StoredRun


class Launches:
    """Creates executions and hands them to the engine."""

    def __init__(
        self, parts: Parts, targets: LaunchTargets, recorder: SqliteRecorder, engine: Propeller
    ) -> None:
        self._parts = parts
        self._targets = targets
        self._recorder = recorder
        self._engine = engine
        self._runs = Runs(parts.database)
        self._attributes = Attributes(parts)
        self._runnable: set[int] = set()
        """The rows of workflows whose tasks were found to run here; a registered workflow never changes."""

    def create(
        self,
        request: execution_pb2.ExecutionCreateRequest,
        source: "StoredRun | None" = None,
    ) -> execution_pb2.ExecutionCreateResponse:
        """Create an execution and let it run.

        Args:
            request: What to launch. A parent node in its metadata makes it that node's child.
            source: The execution that it repeats.

        Raises:
            Refused: when FlyteAdmin would refuse it.
        """
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
        self._check_tasks(target)
        id = ExecutionId(request.project, request.domain, request.name or new_name())
        request.spec.metadata.principal = self._parts.principal
        origin = self._inherited(request.spec)
        execution = self._store(id, request, target, inputs, origin, source)
        _LOG.info("execution %s of %s was created", id, request.spec.launch_plan.name)
        try:
            self._engine.launch(self.launch(execution))
        except CompileFailed as error:
            # The execution exists, so it has to end. FlyteAdmin refuses the call for tasks only.
            self.fail(id, "InvalidArgument", error)
            if request.spec.launch_plan.resource_type == identifier_pb2.TASK:
                raise invalid(str(error)) from error
        return execution_pb2.ExecutionCreateResponse(id=execution.id)

    def _check_tasks(self, target: LaunchTarget) -> None:
        """Raise when the workflow has tasks that can never run here.

        On a cluster without the plugin such a task waits, or fails late. Here that is known at once.

        Raises:
            Refused: `FAILED_PRECONDITION`, with every reason.
        """
        if target.workflow_row in self._runnable:
            return
        message = self._parts.workflows.message(target.workflow_id)
        workflow = workflow_pb2.Workflow.FromString(message)
        tasks = workflow.closure.compiled_workflow.tasks
        reasons = [why for task in tasks if (why := self._parts.why_not(task.template))]
        if reasons:
            raise precondition("\n".join(reasons))
        self._runnable.add(target.workflow_row)

    def launch(self, execution: execution_pb2.Execution) -> Launch:
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
        config = self.config(execution)
        return Launch(
            id=execution_id_from_idl(execution.id),
            closure=workflow.closure.compiled_workflow,
            inputs=literals_pb2.LiteralMap.FromString(self._parts.blobs.read(stored.inputs_uri)),
            raw_output_prefix=config.raw_output_data_config.output_location_prefix,
            envs={pair.key: pair.value for pair in config.envs.values},
            max_parallelism=config.max_parallelism,
            overwrite_cache=config.overwrite_cache,
            recovers=_recovered(execution),
        )

    def config(
        self, execution: execution_pb2.Execution
    ) -> matchable_resource_pb2.WorkflowExecutionConfig:
        """Return the settings of an execution: its own, else its launch plan's, else the project's."""
        spec, plan = execution.spec, self._plan_spec(execution.spec.launch_plan)
        place = self._attributes.of(execution.id.project, execution.id.domain)
        config = matchable_resource_pb2.WorkflowExecutionConfig()
        envs: dict[str, str] = {}
        # From the most general to the most specific: the last one that is set wins.
        for asked in (place, plan, spec):
            prefix = asked.raw_output_data_config.output_location_prefix
            if prefix:
                config.raw_output_data_config.output_location_prefix = prefix
            if asked.max_parallelism:
                config.max_parallelism = asked.max_parallelism
            if asked.overwrite_cache:
                config.overwrite_cache = True
            if asked.HasField("interruptible"):
                config.interruptible.CopyFrom(asked.interruptible)
            if asked.security_context.HasField("run_as"):
                config.security_context.CopyFrom(asked.security_context)
            envs.update((pair.key, pair.value) for pair in asked.envs.values)
        for key, value in envs.items():
            config.envs.values.add(key=key, value=value)
        return config

    def fail(self, id: ExecutionId, code: str, error: Exception) -> None:
        """Record that an execution failed before the engine could take it."""
        _LOG.warning("execution %s cannot run: %s", id, error)
        self._recorder.record(id, failed(self._parts.clock(), code, str(error), "USER"))

    def _inherited(self, spec: execution_pb2.ExecutionSpec) -> "_Origin | None":
        """Fill in what a child execution has from the one whose node starts it (`getInheritedExecMetadata`).

        Raises:
            Refused: `NOT_FOUND`, when there is no such node; `INVALID_ARGUMENT`, when executions start each
                other too deeply.
        """
        if not spec.metadata.HasField("parent_node_execution"):
            return None
        parent = spec.metadata.parent_node_execution
        node_row = self._runs.node(parent)[0]
        run = self._runs.get(parent.execution_id)
        source = run.execution()
        spec.metadata.principal = source.spec.metadata.principal
        spec.metadata.nesting = source.spec.metadata.nesting + 1
        if source.spec.HasField("execution_cluster_label"):
            spec.execution_cluster_label.CopyFrom(source.spec.execution_cluster_label)
        most = growth_limits().nesting
        if spec.metadata.nesting > most:
            raise invalid(too_nested(spec.launch_plan.name, most))
        return _Origin(node_row, run)

    def _store(
        self,
        id: ExecutionId,
        request: execution_pb2.ExecutionCreateRequest,
        target: LaunchTarget,
        inputs: literals_pb2.LiteralMap,
        origin: "_Origin | None",
        source: "StoredRun | None",
    ) -> execution_pb2.Execution:
        """Write the inputs and commit the execution; return its message.

        Raises:
            Refused: `ALREADY_EXISTS`, when the project and domain have an execution of that name.
        """
        folder = f"{self._parts.storage_root}/metadata/{id.project}/{id.domain}/{id.name}"
        inputs_uri, user_inputs_uri = f"{folder}/inputs", f"{folder}/user_inputs"
        at_us = self._parts.clock()
        now = moments.text(at_us)
        execution = _new_execution(id, request, target, at_us)
        from_run = source or (origin.run if origin else None)
        columns = {
            "launch_plan_id": target.launch_plan_row,
            "workflow_id": target.workflow_row,
            "task_id": target.task_row,
            "phase": UNDEFINED,
            "mode": execution.spec.metadata.mode,
            "source_execution_id": from_run.row_id if from_run else None,
            "parent_node_execution_id": origin.node_row if origin else None,
            "inputs_uri": inputs_uri,
            "user_inputs_uri": user_inputs_uri,
            "user": execution.spec.metadata.principal,
            "state": execution_pb2.EXECUTION_ACTIVE,
            "launch_entity": TASK if target.task_row is not None else LAUNCH_PLAN,
            "message": execution.SerializeToString(),
        }
        tags = [(tag, "") for tag in execution.spec.tags]
        tags += sorted(execution.spec.labels.values.items())
        with self._parts.database.write() as transaction:
            # Read in the same transaction: registrations after this commit do not count. Nor do those after
            # the execution that this one is a part of.
            columns["installations"] = (
                origin.run.installations if origin else last_installation(transaction)
            )
            self._runs.add(transaction, id, now, columns)
            self._runs.tag(transaction, id, now, tags)
            # The inputs are written inside the transaction: `add` has checked the name by now, so
            # a taken name cannot overwrite the other execution's inputs, and a write that fails
            # rolls the row back.
            self._parts.blobs.write(inputs_uri, inputs.SerializeToString())
            self._parts.blobs.write(user_inputs_uri, request.inputs.SerializeToString())
        return execution

    def _plan_spec(self, reference: identifier_pb2.Identifier) -> launch_plan_pb2.LaunchPlanSpec:
        if reference.resource_type == identifier_pb2.TASK:
            return launch_plan_pb2.LaunchPlanSpec()
        message = self._parts.launch_plans.message(reference)
        return launch_plan_pb2.LaunchPlan.FromString(message).spec


def _recovered(execution: execution_pb2.Execution) -> "ExecutionId | None":
    """Return the execution whose results this one takes over, if it was launched to recover one."""
    metadata = execution.spec.metadata
    if metadata.mode != execution_pb2.ExecutionMetadata.RECOVERED:
        return None
    return execution_id_from_idl(metadata.reference_execution)


def _new_execution(
    id: ExecutionId,
    request: execution_pb2.ExecutionCreateRequest,
    target: LaunchTarget,
    at_us: int,
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
    for field in ("labels", "annotations"):
        for key, value in getattr(target.launch_plan.spec, field).values.items():
            # What the launch itself gives wins over its launch plan.
            if key not in getattr(execution.spec, field).values:
                getattr(execution.spec, field).values[key] = value
    details = execution.closure.state_change_details
    details.state = execution_pb2.EXECUTION_ACTIVE
    details.principal = execution.spec.metadata.principal
    details.occurred_at.CopyFrom(moments.stamp(at_us))
    return execution
