"""Register launch plans, and switch which version of a name is active.

A launch plan is created inactive. At most one version of a name is active.
Source: flyteadmin/pkg/manager/impl/{launch_plan_manager,validation/launch_plan_validator}.go at v1.16.8.
"""

import logging
from collections.abc import Mapping

from flyteidl.admin import launch_plan_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2, types_pb2

from flyte_nb.admin import cron, moments
from flyte_nb.admin.compiling import castable, mismatch
from flyte_nb.admin.refused import Refused, invalid, missing
from flyte_nb.admin.service_parts import Noted, Parts, Rpcs
from flyte_nb.admin.services.rules import (
    check_fields,
    check_identifier,
    check_labels,
    check_limit,
    check_literals,
    check_notifications,
    check_project_and_domain,
)
from flyte_nb.admin.services.versions import same_or_different
from flyte_nb.admin.store.database import Transaction
from flyte_nb.admin.store.entities import StoredEntity
from flyte_nb.admin.store.filters import order_by
from flyte_nb.admin.store.listing import equals, message_list, offset_of
from flyte_nb.api.errors import CodecError
from flyte_nb.compiler.digests import digest
from flyte_nb.compiler.flyte_text import go_text

_LOG = logging.getLogger(__name__)
_ACTIVE = launch_plan_pb2.ACTIVE
_INACTIVE = launch_plan_pb2.INACTIVE


class LaunchPlans:
    """Serve the calls that write launch plans or read active ones."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "CreateLaunchPlan": self._create,
            "UpdateLaunchPlan": self._update,
            "GetActiveLaunchPlan": self._get_active,
            "ListActiveLaunchPlans": self._list_active,
        }

    def _create(
        self, request: launch_plan_pb2.LaunchPlanCreateRequest
    ) -> launch_plan_pb2.LaunchPlanCreateResponse:
        spec = request.spec
        check_identifier(spec.workflow_id, spec.HasField("workflow_id"), identifier_pb2.WORKFLOW)
        workflow = self._parts.workflows.get(spec.workflow_id)
        interface = interface_of(workflow)
        check_identifier(request.id, request.HasField("id"), identifier_pb2.LAUNCH_PLAN)
        check_project_and_domain(self._parts.projects, request.id.project, request.id.domain)
        if not request.HasField("spec"):
            raise missing("spec")
        _check_spec(spec, interface.inputs.variables)
        stored = self.store(request, interface, workflow.row_id)
        if stored is None:
            return launch_plan_pb2.LaunchPlanCreateResponse()
        raise same_or_different(
            "launch plan",
            request.id.name,
            stored=launch_plan_pb2.LaunchPlan.FromString(stored.message).spec,
            sent=spec,
            is_same=stored.digest == _digest(_as_digested(request, interface)),
        )

    def store(
        self,
        request: launch_plan_pb2.LaunchPlanCreateRequest,
        interface: interface_pb2.TypedInterface,
        workflow_row: int,
    ) -> "StoredEntity | None":
        """Store a launch plan whose request was checked.

        Args:
            request: Its `default_inputs` are already what `expected_inputs` returns.
            interface: The interface of its workflow.
            workflow_row: The id of the workflow's row.

        Returns:
            `None`, or the version that has this id already; then nothing is stored.

        Raises:
            Refused: `INVALID_ARGUMENT`, when a value in it has no digest, e.g. a time beyond year 9999.
        """
        plan = _as_digested(request, interface)
        at_us = self._parts.clock()
        plan_digest = _digest(plan)
        plan.closure.state = _INACTIVE
        plan.closure.created_at.CopyFrom(moments.stamp(at_us))
        plan.closure.updated_at.CopyFrom(moments.stamp(at_us))
        with self._parts.database.write() as transaction:
            stored = self._parts.launch_plans.find_in(transaction, request.id)
            if stored is None:
                self._parts.launch_plans.add(
                    transaction,
                    request.id,
                    moments.text(at_us),
                    {
                        "digest": plan_digest,
                        "message": plan.SerializeToString(),
                        "workflow_id": workflow_row,
                        "state": _INACTIVE,
                        "schedule_type": _schedule_type(request.spec),
                    },
                )
            return stored

    def _update(
        self, request: launch_plan_pb2.LaunchPlanUpdateRequest
    ) -> "launch_plan_pb2.LaunchPlanUpdateResponse | Noted":
        if request.state not in (_ACTIVE, _INACTIVE):
            raise invalid(
                f"Unrecognized launch plan state {request.state} for update for launch plan"
                f" [{go_text(request.id)}]"
            )
        found = self._parts.launch_plans.get(request.id)
        # One transaction: no reader sees two active versions of a name, or none in between.
        with self._parts.database.write() as transaction:
            if request.state == _ACTIVE:
                active = transaction.one(
                    "SELECT id, message FROM launch_plans"
                    " WHERE project = ? AND domain = ? AND name = ? AND state = ?",
                    (request.id.project, request.id.domain, request.id.name, _ACTIVE),
                )
                if active is not None:
                    self._switch(transaction, active[0], active[1], _INACTIVE)
            stored = self._parts.launch_plans.find_in(transaction, request.id)
            if stored is not None:
                self._switch(transaction, stored.row_id, stored.message, request.state)
        notice = _schedule_notice(found) if request.state == _ACTIVE else ""
        if notice:
            _LOG.warning("%s", notice)
            return Noted(launch_plan_pb2.LaunchPlanUpdateResponse(), notice)
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    def _switch(self, transaction: Transaction, row_id: int, message: bytes, state: int) -> None:
        at_us = self._parts.clock()
        plan = launch_plan_pb2.LaunchPlan.FromString(message)
        plan.closure.state = state  # type: ignore[assignment]  # the stubs have their own type
        plan.closure.updated_at.CopyFrom(moments.stamp(at_us))
        transaction.update(
            "launch_plans",
            row_id,
            {
                "state": state,
                "message": plan.SerializeToString(),
                "updated_at": moments.text(at_us),
            },
        )

    def _get_active(self, request: launch_plan_pb2.ActiveLaunchPlanRequest) -> bytes:
        check_fields(request.id, "project", "domain", "name")
        row = self._parts.database.one(
            "SELECT message FROM launch_plans"
            " WHERE project = ? AND domain = ? AND name = ? AND state = ?",
            (request.id.project, request.id.domain, request.id.name, _ACTIVE),
        )
        if row is None:
            raise Refused(
                "NOT_FOUND",
                "No active launch plan could be found:"
                f" {request.id.project}:{request.id.domain}:{request.id.name}",
            )
        message: bytes = row[0]
        return message

    def _list_active(self, request: launch_plan_pb2.ActiveLaunchPlanListRequest) -> bytes:
        check_fields(request, "project", "domain")
        check_limit(request.limit)
        resource = self._parts.launch_plans.noun.resource
        page = self._parts.launch_plans.page(
            equals(resource, project=request.project, domain=request.domain, state=_ACTIVE),
            order=order_by(request.sort_by, resource),
            limit=request.limit,
            offset=offset_of(request.token, "ListActiveLaunchPlans"),
        )
        return message_list([row[0] for row in page.rows], page.token)


def interface_of(workflow: StoredEntity) -> interface_pb2.TypedInterface:
    """Return the interface of a stored workflow."""
    message = workflow_pb2.Workflow.FromString(workflow.message)
    return message.closure.compiled_workflow.primary.template.interface


def _as_digested(
    request: launch_plan_pb2.LaunchPlanCreateRequest, interface: interface_pb2.TypedInterface
) -> launch_plan_pb2.LaunchPlan:
    """Return the launch plan without its state and times, which the digest leaves out."""
    return launch_plan_pb2.LaunchPlan(
        id=request.id,
        spec=request.spec,
        closure=launch_plan_pb2.LaunchPlanClosure(
            expected_inputs=request.spec.default_inputs, expected_outputs=interface.outputs
        ),
    )


def _digest(plan: launch_plan_pb2.LaunchPlan) -> bytes:
    try:
        return digest(plan)
    except CodecError as error:
        raise invalid(f"invalid launch plan [{go_text(plan.id)}]: {error.message}") from error


def _check_spec(
    spec: launch_plan_pb2.LaunchPlanSpec, inputs: "Mapping[str, interface_pb2.Variable]"
) -> None:
    """Check a spec, and replace its default inputs by the launch plan's expected inputs."""
    check_labels(spec.labels.values)
    check_literals(spec.fixed_inputs.literals, "fixed_inputs")
    _check_parameters(spec.default_inputs.parameters)
    expected = expected_inputs(inputs, spec.fixed_inputs.literals, spec.default_inputs.parameters)
    _check_schedule(spec, expected)
    spec.default_inputs.CopyFrom(expected)
    check_notifications(spec.entity_metadata.notifications)
    if spec.entity_metadata.HasField("launch_conditions"):
        raise invalid(
            "Launch condition must be empty, found"
            f" {go_text(spec.entity_metadata.launch_conditions)}"
        )


def _check_parameters(parameters: "Mapping[str, interface_pb2.Parameter]") -> None:
    field = "default_inputs"
    for name, parameter in parameters.items():
        behavior = parameter.WhichOneof("behavior")
        if behavior in ("artifact_query", "artifact_id"):
            raise invalid(f"artifact mode not enabled but query found {field} {name}")
        if not name:
            raise invalid(f"missing key in {field}")
        if not parameter.var.HasField("type"):
            raise invalid(
                f"The Variable component of the Parameter {name} in {field} either is missing, or"
                " has a missing Type"
            )
        if behavior != "default" and not parameter.required:
            raise invalid(
                f"Invalid variable {name} in {field} - variable has neither default, nor is"
                " required. One must be specified"
            )
        if behavior == "default":
            given = mismatch(parameter.default, parameter.var.type, name)
            if given is not None:
                raise invalid(
                    f"Type mismatch for Parameter {name} in {field} has type"
                    f" {go_text(parameter.var.type)}, expected {given}"
                )


def expected_inputs(
    inputs: "Mapping[str, interface_pb2.Variable]",
    fixed: "Mapping[str, literals_pb2.Literal]",
    defaults: "Mapping[str, interface_pb2.Parameter]",
) -> interface_pb2.ParameterMap:
    """Return the inputs that a launch must give (required) or may give (defaults), without fixed ones.

    Args:
        inputs: The inputs of the workflow.
        fixed: The values that the launch plan fixes.
        defaults: The defaults that the launch plan gives.

    Raises:
        Refused: `INVALID_ARGUMENT`, when a fixed or default input is no input of the workflow or has
            another type.
    """
    if not inputs:
        for given, word in ((defaults, "default"), (fixed, "fixed")):
            if given:
                raise invalid(
                    f"invalid launch plan {word} inputs, expected none but found {len(given)}"
                )
        return interface_pb2.ParameterMap()
    for name, parameter in defaults.items():
        if name not in inputs:
            raise invalid(f"unexpected default_input {name}")
        if not castable(parameter.var.type, inputs[name].type):
            raise invalid(
                f"invalid default_input wrong type {name}, expected {go_text(parameter.var.type)},"
                f" got {go_text(inputs[name].type)} instead"
            )
    for name, literal in fixed.items():
        if name not in inputs:
            raise invalid(f"unexpected fixed_input {name}")
        given_type = mismatch(literal, inputs[name].type, name)
        if given_type is not None:
            raise invalid(
                f"invalid fixed_input wrong type {name}, expected {go_text(inputs[name].type)},"
                f" got {given_type} instead"
            )
    expected = interface_pb2.ParameterMap()
    for name, variable in inputs.items():
        if name in defaults:
            expected.parameters[name].CopyFrom(defaults[name])
        elif name not in fixed:
            expected.parameters[name].CopyFrom(
                interface_pb2.Parameter(
                    var=interface_pb2.Variable(
                        type=variable.type, description=variable.description
                    ),
                    required=True,
                )
            )
    return expected


def _check_schedule(
    spec: launch_plan_pb2.LaunchPlanSpec, expected: interface_pb2.ParameterMap
) -> None:
    schedule = spec.entity_metadata.schedule
    kind = schedule.WhichOneof("ScheduleExpression")
    # FlyteAdmin takes an empty cron expression for no schedule.
    if kind is None or (kind == "cron_expression" and not schedule.cron_expression):
        return
    kickoff = schedule.kickoff_time_input_arg
    for name in sorted(expected.parameters):
        if expected.parameters[name].required and name != kickoff:
            raise invalid(
                "Cannot create a launch plan with a schedule if there is an unbound required input."
                f" [{name}] is required"
            )
    # The scheduler gives the time of the start to this input, so it has to be free and a datetime.
    if kickoff:
        if kickoff not in expected.parameters:
            raise invalid(
                "Cannot create a schedule with a KickoffTimeInputArg that does not point to a free"
                f" input. [{kickoff}] is not free or does not exist."
            )
        kickoff_type = expected.parameters[kickoff].var.type
        if kickoff_type.simple != types_pb2.DATETIME:
            raise invalid(
                f"KickoffTimeInputArg must reference a datetime input. [{kickoff}] is a"
                f" [{go_text(kickoff_type)}]"
            )
    expression = (
        schedule.cron_expression if kind == "cron_expression" else schedule.cron_schedule.schedule
    )
    if kind != "rate" and expression:
        problem = cron.problem(expression)
        if problem:
            raise invalid(f"Invalid cron expression: {problem}")


def _schedule_notice(stored: StoredEntity) -> str:
    """Return a notice that the plan's schedule will start nothing; empty without a schedule."""
    plan = launch_plan_pb2.LaunchPlan.FromString(stored.message)
    if _schedule_type(plan.spec) == "NONE":
        return ""
    return (
        f"The launch plan {plan.id.name} (version {plan.id.version}) is active now, but its schedule"
        " starts nothing: the local backend has no scheduler yet. Launch it yourself, or register it"
        " on a Flyte cluster."
    )


def _schedule_type(spec: launch_plan_pb2.LaunchPlanSpec) -> str:
    kind = spec.entity_metadata.schedule.WhichOneof("ScheduleExpression")
    if kind is None:
        return "NONE"
    return "RATE" if kind == "rate" else "CRON"
