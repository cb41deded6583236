"""From an entity and Python inputs to an execution."""

import secrets
from collections.abc import Mapping
from typing import Any

from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionSpec,
)

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.client.execution import Context, Execution
from flyte_nb.wire.identifiers import execution_id_from_idl, identifier_to_idl
from flyte_nb.wire.literals import literal_map_to_idl

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def launch(
    context: Context,
    target: Identifier,
    inputs: "Mapping[str, Literal]",
    *,
    name: "str | None" = None,
    input_codecs: "Mapping[str, Any] | None" = None,
    output_codecs: "Mapping[str, Any] | None" = None,
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
    """
    chosen = name or made_up_name()
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
