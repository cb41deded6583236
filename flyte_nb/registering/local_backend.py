"""Make the calls that only the local backend has: report this Python, and lend secrets to an execution.

On a cluster the image has the Python, and the cluster has the secrets; a FlyteAdmin there does not know these
calls. At a loopback address from a person's configuration there may be either. An empty call finds out which,
before a person's environment variables are sent anywhere.
"""

import json
import os
import warnings
from collections.abc import Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.config import Config, is_loopback
from flyte_nb.runtime.installations import this_installation
from flyte_nb.runtime.machine import this_machine
from flyte_nb.runtime.variables import lent_by
from flyte_nb.sdk.secrets import Secrets, name_of

# Both calls take and answer JSON in a StringValue, because flyteidl has no messages for them.
_KEEP = "/flyte_nb.Installations/Keep"
_LEND = "/flyte_nb.Loans/Lend"


class LocalBackend:
    """The local backend's own calls. They do nothing when another FlyteAdmin is on the other side."""

    def __init__(self, *, is_there: "bool | None" = True) -> None:
        """Take what is known of the other side.

        Args:
            is_there: Whether the local backend is on the other side. `None` asks it first.
        """
        self._is_there = is_there
        self._last_notice = ""

    def say(self, notice: str) -> None:
        """Warn the person of `notice` about the running backend, unless it was the last one shown."""
        if notice and notice != self._last_notice:
            self._last_notice = notice
            warnings.warn(notice, stacklevel=2)

    def keep(self, client: AdminClient, tasks: "Sequence[tuple[Identifier, str]]") -> None:
        """Tell the backend that this process's Python registers the tasks.

        The backend runs them with that Python, and keeps its environment while they are registered.

        Args:
            client: Calls the backend.
            tasks: The tasks, each with the URI of its bundle's index, or an empty text.

        Raises:
            RemoteError: the backend refused, or cannot be reached.
        """
        installation = this_installation()
        # A Python that does not know its own interpreter cannot be started again by the backend.
        if installation is None or not tasks or not self._can_be_asked(client):
            return
        request = {
            "installation": installation._asdict(),
            "machine": this_machine(),
            "tasks": [[*id[1:], bundle] for id, bundle in tasks],
        }
        self._call(client, _KEEP, request, doing="Registering this Python")

    def lend(self, client: AdminClient, execution: ExecutionId, target: Identifier) -> None:
        """Send the backend what an execution's tasks need from this process, before it is created.

        These are the environment variables that say how stores and package indexes are reached, and
        then, when the backend answers which secrets the tasks ask for, those that this process has.

        Args:
            client: Calls the backend.
            execution: The execution that will be created.
            target: The launch plan or task that it runs.

        Raises:
            RemoteError: the backend refused, or cannot be reached.
            UsageError: the file of secrets cannot be read.
        """
        if not self._can_be_asked(client):
            return
        env = os.environ
        request: dict[str, Any] = {
            "execution": execution,
            "entity": target,
            "variables": lent_by(env),
        }
        # The first call finds out which secrets are wanted, so that no other secret leaves this process.
        answer = self._call(client, _LEND, request, doing=f"Launching {target.name}")
        own = Secrets(env, is_local=True)
        secrets = {}
        for group, key, version in answer.get("wanted", ()):
            value = own.find(group, key, version)
            if value is not None:
                secrets[name_of(group, key, version)] = value
        if secrets:
            request["secrets"] = secrets
            self._call(client, _LEND, request, doing=f"Launching {target.name}")

    def _can_be_asked(self, client: AdminClient) -> bool:
        """Return whether the local backend is on the other side; ask it when that is not known."""
        if self._is_there is None:
            try:
                client.call(_KEEP, StringValue(), idempotent=False)
                self._is_there = (
                    False  # our backend refuses an empty request, so this is another server
                )
            except RemoteError as error:
                self._is_there = error.code == "INVALID_ARGUMENT"
        return self._is_there

    def _call(
        self, client: AdminClient, path: str, request: "dict[str, Any]", *, doing: str
    ) -> "dict[str, Any]":
        message = StringValue(value=json.dumps(request))
        try:
            answer = client.call(path, message, doing=doing, idempotent=True)
        except RemoteError as error:
            if error.code != "UNIMPLEMENTED":
                raise
            self._is_there = False  # a backend of an earlier release has no such call
            return {}
        found: dict[str, Any] = json.loads(answer.value)
        return found


def own_calls(config: "Config | None") -> LocalBackend:
    """Return the local backend's own calls for a connection.

    Args:
        config: What a person configured; `None` for the local backend, which nobody configures.
    """
    if config is None:
        return LocalBackend()
    return LocalBackend(is_there=None if is_loopback(config.endpoint) else False)
