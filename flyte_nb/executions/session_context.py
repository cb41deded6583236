"""`SessionContext`: what the executions of one session share."""

from collections.abc import Callable
from typing import NamedTuple

from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.data import KernelData
from flyte_nb.types.registry import Registry


class SessionContext(NamedTuple):
    """The client, the types and the access to files that a session gives to its executions."""

    client: AdminClient
    registry: Registry
    data: KernelData
    lend: "Callable[[AdminClient, ExecutionId, Identifier], object] | None" = None
    """Sends the local backend what an execution's tasks need from this process, before it is created; see
    `registering.local_backend`. `None` sends nothing."""
