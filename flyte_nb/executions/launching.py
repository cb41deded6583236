"""Launch what this kernel defines (`start_defined`), or what is registered (`start_registered`).

Both check the inputs first and end in `launch`, which creates the execution on FlyteAdmin.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionSpec,
)

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, ExecutionId, Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.client.fetching import Registered, codecs_of
from flyte_nb.executions.again import made_up_name
from flyte_nb.executions.execution import Execution
from flyte_nb.executions.inputs import to_literals
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.registering.views import Registration
from flyte_nb.sdk.entity import Definition, entity_name
from flyte_nb.types.codec import Codec
from flyte_nb.wire.identifiers import execution_id_from_idl, identifier_to_idl
from flyte_nb.wire.literals import literal_map_to_idl


def start_defined(
    context: SessionContext,
    entity: Definition,
    inputs: "Mapping[str, Any]",
    *,
    scope: Scope,
    register: "Callable[[], Registration]",
    name: "str | None" = None,
) -> Execution:
    """Register a task, workflow or launch plan of this kernel as it is now, and launch it.

    Inputs are checked before anything is registered.

    Args:
        context: The session's client, types and data access.
        entity: What to launch.
        inputs: Values by name.
        scope: Project, domain and the notebook's name.
        register: Registers the entity and returns what was registered.
        name: The execution's name; made up when `None`.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type; or the signature has problems.
        RegistrationFailed: the entity does not compile or cannot be packed, or FlyteAdmin refused it.
        RemoteError: FlyteAdmin refused, or cannot be reached.
        StorageError: a bundle, a file or a frame cannot be stored.
        UsageError: nothing that can be launched was registered.
    """
    signature = entity.signature(context.registry)
    given = dict(inputs)
    if entity.resource_type == TASK:
        # FlyteAdmin keeps defaults in launch plans, and a task is launched without one.
        given = {**signature.defaults, **given}
    literals = to_literals(
        given,
        entity=entity.short_name,
        inputs=signature.interface.inputs,
        codecs=signature.input_codecs,
        optional=frozenset(signature.defaults),
        fixed=frozenset(entity.fixed_inputs),
        data=context.data,
        launched=True,
    )
    target = _target(entity, register(), scope)
    return launch(
        context,
        target,
        literals,
        name=name,
        input_codecs=signature.input_codecs,
        output_codecs=signature.output_codecs,
    )


def start_registered(
    context: SessionContext,
    found: Registered,
    inputs: "Mapping[str, Any]",
    *,
    name: "str | None" = None,
) -> Execution:
    """Launch a registered launch plan or task. Inputs are converted by its registered types.

    Args:
        context: The session's client, types and data access.
        found: What to launch.
        inputs: Values by name.
        name: The execution's name; made up when `None`.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type.
        RemoteError: FlyteAdmin refused, or cannot be reached.
        StorageError: a file or a frame cannot be stored.
        UsageError: `found` is a workflow. Only its launch plans can be launched.
    """
    if found.resource_type == WORKFLOW:
        raise UsageError(
            f"{found.name} is a workflow, and only its launch plans can be launched."
            " Fetch and launch a launch plan; the default one has the workflow's name."
        )
    codecs = codecs_of(found, context.registry)
    literals = to_literals(
        inputs,
        entity=found.name,
        inputs=found.interface.inputs,
        codecs=codecs,
        optional=frozenset(found.defaults),
        data=context.data,
        launched=True,
    )
    return launch(context, found.id, literals, name=name, input_codecs=codecs)


def launch(
    context: SessionContext,
    target: Identifier,
    inputs: "Mapping[str, Literal]",
    *,
    name: "str | None" = None,
    input_codecs: "Mapping[str, Codec] | None" = None,
    output_codecs: "Mapping[str, Codec] | None" = None,
) -> Execution:
    """Create an execution of a registered launch plan or task.

    The request always has a name. So when the first answer is lost and the request is sent again,
    FlyteAdmin refuses the second one, and there is one execution.

    Args:
        context: The session's client, types and data access.
        target: A launch plan or a task, with its version.
        inputs: Literals by name. FlyteAdmin adds the defaults of a launch plan.
        name: The execution's name; made up when `None`.
        input_codecs: Codecs with which the inputs are read later.
        output_codecs: Codecs with which the outputs are read later.

    Raises:
        RemoteError: FlyteAdmin refused, e.g. with ALREADY_EXISTS for a `name` that is taken.
        UsageError: the file of secrets cannot be read.
        KeyboardInterrupt: the person interrupted; the execution may have been created.
    """
    chosen = name or made_up_name()
    # Before the execution exists: its first task may start at once.
    if context.lend is not None:
        id = ExecutionId(target.project, target.domain, chosen)
        context.lend(context.client, id, target)
    request = ExecutionCreateRequest(
        project=target.project,
        domain=target.domain,
        name=chosen,
        spec=ExecutionSpec(
            launch_plan=identifier_to_idl(target),
            metadata=ExecutionMetadata(mode=ExecutionMetadata.MANUAL, principal="flyte-nb"),
            disable_all=True,  # no notifications: the person who launches it can watch it
        ),
        inputs=literal_map_to_idl(inputs),
    )
    try:
        answer = context.client.call(
            "CreateExecution", request, doing=f"Launching {target.name}", idempotent=True
        )
        id = execution_id_from_idl(answer.id)
    except RemoteError as error:
        if error.code != "ALREADY_EXISTS" or name is not None:
            raise
        # Nobody else has a name that was made up here, so the first answer was lost.
        id = ExecutionId(target.project, target.domain, chosen)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The launch was interrupted, and {chosen} may have begun: %flyte watch {chosen} shows it, and"
            f" %flyte terminate {chosen} ends it."
        ) from None
    return Execution(id, context, input_codecs=input_codecs, output_codecs=output_codecs)


def _target(entity: Definition, registration: Registration, scope: Scope) -> Identifier:
    """Return what was registered to launch `entity`: the task, or the launch plan of its name."""
    wanted = TASK if entity.resource_type == TASK else LAUNCH_PLAN
    full_name = entity_name(entity, scope)
    for item in registration.entities:
        if (item.id.resource_type, item.id.name) == (wanted, full_name):
            return item.id
    raise UsageError(f"{full_name} was registered without something to launch.")
