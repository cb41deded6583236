"""Translate identifiers: `api.identifiers` <-> flyteidl/core/identifier.proto."""

from flyteidl.core import identifier_pb2

from flyte_nb.api import identifiers as ids
from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import ExecutionId, Identifier

_RESOURCE_TYPES = {
    ids.TASK: identifier_pb2.TASK,
    ids.WORKFLOW: identifier_pb2.WORKFLOW,
    ids.LAUNCH_PLAN: identifier_pb2.LAUNCH_PLAN,
}
_RESOURCE_NAMES = {number: name for name, number in _RESOURCE_TYPES.items()}


def identifier_to_idl(identifier: Identifier) -> identifier_pb2.Identifier:
    """Return the identifier as flyteidl's message.

    Raises:
        CodecError: when its resource type is not a task, workflow or launch plan.
    """
    resource_type = _RESOURCE_TYPES.get(identifier.resource_type)
    if resource_type is None:
        raise CodecError(f"{identifier.resource_type!r} is not a task, workflow or launch plan.")
    return identifier_pb2.Identifier(
        resource_type=resource_type,
        project=identifier.project,
        domain=identifier.domain,
        name=identifier.name,
        version=identifier.version,
    )


def identifier_from_idl(
    message: identifier_pb2.Identifier, otherwise: "str | None" = None
) -> Identifier:
    """Return the identifier in flyteidl's message.

    Args:
        message: Never changed.
        otherwise: The resource type of a message without one; some clients write references so.

    Raises:
        CodecError: when the resource type is not a task, workflow or launch plan.
    """
    name = _RESOURCE_NAMES.get(message.resource_type, otherwise)
    if name is None:
        raise CodecError(
            f"Resource type number {message.resource_type} is not a task, workflow or launch plan."
        )
    return Identifier(
        resource_type=name,
        project=message.project,
        domain=message.domain,
        name=message.name,
        version=message.version,
    )


def execution_id_to_idl(execution: ExecutionId) -> identifier_pb2.WorkflowExecutionIdentifier:
    """Return the execution's name as flyteidl's message."""
    return identifier_pb2.WorkflowExecutionIdentifier(
        project=execution.project, domain=execution.domain, name=execution.name
    )


def execution_id_from_idl(message: identifier_pb2.WorkflowExecutionIdentifier) -> ExecutionId:
    """Return the execution's name in flyteidl's message."""
    return ExecutionId(message.project, message.domain, message.name)
