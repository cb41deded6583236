"""Launch what was launched before: as it was (`relaunch`), or without what succeeded in it (`recover`)."""

import secrets

from flyteidl.admin import execution_pb2

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.wire.identifiers import (
    execution_id_from_idl,
    execution_id_to_idl,
    identifier_from_idl,
)

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def made_up_name() -> str:
    """Return a random execution name: `f` and 19 letters or digits, as FlyteAdmin makes them."""
    return "f" + "".join(secrets.choice(_ALPHABET) for _ in range(19))


def relaunch(
    context: SessionContext, id: ExecutionId, *, name: "str | None", overwrite_cache: bool
) -> ExecutionId:
    """Launch the execution again, with its inputs and settings; return the new one's id.

    Args:
        context: The session's client.
        id: The former execution.
        name: The new one's name; made up when `None`.
        overwrite_cache: Whether tasks run although their results are known, and replace them.

    Raises:
        RemoteError: NOT_FOUND when there is no such execution, and other refusals.
    """
    chosen = _prepared(context, id, name)
    request = execution_pb2.ExecutionRelaunchRequest(
        id=execution_id_to_idl(id), name=chosen.name, overwrite_cache=overwrite_cache
    )
    return _created(context, "RelaunchExecution", request, id, chosen, is_chosen=name is not None)


def recover(context: SessionContext, id: ExecutionId, *, name: "str | None") -> ExecutionId:
    """Launch the execution again, taking over what succeeded in it; return the new one's id.

    Args:
        context: The session's client.
        id: The former execution.
        name: The new one's name; made up when `None`.

    Raises:
        RemoteError: NOT_FOUND when there is no such execution, and other refusals.
    """
    chosen = _prepared(context, id, name)
    request = execution_pb2.ExecutionRecoverRequest(id=execution_id_to_idl(id), name=chosen.name)
    return _created(context, "RecoverExecution", request, id, chosen, is_chosen=name is not None)


def _prepared(context: SessionContext, id: ExecutionId, name: "str | None") -> ExecutionId:
    """Return the new execution's id, and lend to it what its tasks need from this process."""
    chosen = id._replace(name=name or made_up_name())
    if context.lend is not None:
        request = execution_pb2.WorkflowExecutionGetRequest(id=execution_id_to_idl(id))
        former = context.client.call("GetExecution", request, doing=f"Reading {id.name}")
        context.lend(context.client, chosen, identifier_from_idl(former.spec.launch_plan))
    return chosen


def _created(
    context: SessionContext,
    rpc: str,
    request: "execution_pb2.ExecutionRelaunchRequest | execution_pb2.ExecutionRecoverRequest",
    id: ExecutionId,
    chosen: ExecutionId,
    *,
    is_chosen: bool,
) -> ExecutionId:
    """Create the execution. The request has a name, so sending it again creates no second one."""
    try:
        answer = context.client.call(
            rpc, request, doing=f"Launching {id.name} again", idempotent=True
        )
    except RemoteError as error:
        if error.code != "ALREADY_EXISTS" or is_chosen:
            raise
        # Nobody else has a name that was made up here, so the first answer was lost.
        return chosen
    return execution_id_from_idl(answer.id)
