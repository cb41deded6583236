"""Launching: what is defined in this kernel, what is only registered, and the call that both end in."""

import secrets
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
from flyte_nb.executions.execution import Context, Execution
from flyte_nb.executions.inputs import to_literals
from flyte_nb.registering.views import Registration
from flyte_nb.sdk.drafts import entity_name
from flyte_nb.sdk.entity import Definition
from flyte_nb.types.codec import Codec
from flyte_nb.wire.identifiers import execution_id_from_idl, identifier_to_idl
from flyte_nb.wire.literals import literal_map_to_idl

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def start_defined(
    context: Context,
    entity: Definition,
    inputs: "Mapping[str, Any]",
    *,
    scope: Scope,
    register: "Callable[[], Registration]",
    name: "str | None" = None,
) -> Execution:
    """Launch a task, workflow or launch plan of this kernel, in the version it has now.

    Inputs are checked before anything is registered.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type.
        RegistrationFailed: the entity does not compile or cannot be packed.
        RemoteError: FlyteAdmin refused.
    """
    signature = entity.signature(context.registry)
    given = dict(inputs)
    if entity.resource_type == TASK:
        given = {**signature.defaults, **given}  # a task has no launch plan to keep its defaults
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
    context: Context, found: Registered, inputs: "Mapping[str, Any]", *, name: "str | None" = None
) -> Execution:
    """Launch a registered launch plan or task; inputs are read by its registered types.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type.
        RemoteError: FlyteAdmin refused.
        UsageError: `found` is a workflow; its launch plan is what can be launched.
    """
    if found.resource_type == WORKFLOW:
        raise UsageError(f"Launch a launch plan of {found.name}, not the workflow itself.")
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
    context: Context,
    target: Identifier,
    inputs: "Mapping[str, Literal]",
    *,
    name: "str | None" = None,
    input_codecs: "Mapping[str, Codec] | None" = None,
    output_codecs: "Mapping[str, Codec] | None" = None,
) -> Execution:
    """Create an execution of a registered launch plan or task.

    The name is chosen here, so that a call that is sent twice because the first answer was lost
    makes one execution.

    Args:
        context: The session's client, types and data access.
        target: A launch plan or a task, with its version.
        inputs: Literals by name; a launch plan's own defaults are FlyteAdmin's to add.
        name: The execution's name; made up when `None`.
        input_codecs: How the inputs are read back.
        output_codecs: How the outputs are read.

    Raises:
        RemoteError: FlyteAdmin refused, e.g. ALREADY_EXISTS for a `name` that is taken.
        UsageError: a secret that its tasks ask for cannot be read here.
    """
    chosen = name or made_up_name()
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
            disable_all=True,
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
        id = ExecutionId(target.project, target.domain, chosen)  # the first answer was lost
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The launch was interrupted, and {chosen} may have begun: %flyte watch {chosen} tells, and"
            f" %flyte terminate {chosen} ends it."
        ) from None
    return Execution(id, context, input_codecs=input_codecs, output_codecs=output_codecs)


def made_up_name() -> str:
    """A new execution name: a letter and 19 more, as FlyteAdmin makes them."""
    return "f" + "".join(secrets.choice(_ALPHABET) for _ in range(19))


def _target(entity: Definition, registration: Registration, scope: Scope) -> Identifier:
    wanted = TASK if entity.resource_type == TASK else LAUNCH_PLAN
    full_name = entity_name(entity, scope)
    for item in registration.entities:
        if (item.id.resource_type, item.id.name) == (wanted, full_name):
            return item.id
    raise UsageError(f"{full_name} was registered without something to launch.")
