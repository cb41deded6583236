"""Launching what is defined in this kernel, and what is only registered."""

from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.client.execution import Context, Execution
from flyte_nb.client.fetching import Registered, codecs_of
from flyte_nb.client.inputs import to_literals
from flyte_nb.client.launching import launch
from flyte_nb.client.views import Registration
from flyte_nb.sdk.frame import entity_name


def start_defined(
    context: Context,
    entity: Any,
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
    fixed = frozenset(getattr(entity, "fixed_inputs", {}))
    if entity.resource_type == TASK:
        given = {**signature.defaults, **given}  # a task has no launch plan to keep its defaults
    literals = to_literals(
        given,
        entity=entity.short_name,
        inputs=signature.interface.inputs,
        codecs=signature.input_codecs,
        optional=frozenset(signature.defaults),
        fixed=fixed,
        data=context.data,
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
    )
    return launch(context, found.id, literals, name=name, input_codecs=codecs)


def _target(entity: Any, registration: Registration, scope: Scope) -> Identifier:
    wanted = TASK if entity.resource_type == TASK else LAUNCH_PLAN
    full_name = entity_name(entity, scope)
    for item in registration.entities:
        if (item.id.resource_type, item.id.name) == (wanted, full_name):
            return item.id
    raise UsageError(f"{full_name} was registered without something to launch.")
