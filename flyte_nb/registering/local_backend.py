"""What only the local backend asks of a client: from which Python it registers, and what it lends.

A FlyteAdmin does not know these calls: there the image has the Python, and the cluster the secrets. At a
loopback address that somebody configured there may be either, so an empty call finds out first.
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

_KEEP = "/flyte_nb.Installations/Keep"
_LEND = "/flyte_nb.Loans/Lend"


class LocalBackend:
    """The local backend's own calls; nothing happens where there is another FlyteAdmin."""

    def __init__(self, *, is_there: "bool | None" = True) -> None:
        """Say whether it is the local backend; `None` asks before anything is sent."""
        self._is_there = is_there
        self._said = ""

    def say(self, notice: str) -> None:
        """Show what a person should know of the backend that runs, once."""
        if notice and notice != self._said:
            self._said = notice
            warnings.warn(notice, stacklevel=2)

    def keep(self, client: AdminClient, tasks: "Sequence[tuple[Identifier, str]]") -> None:
        """Say that this process's Python registers the tasks, each with its bundle's index.

        Raises:
            RemoteError: the backend refused, or cannot be reached.
        """
        installation = this_installation()
        if installation is None or not tasks or not self._can_be_asked(client):
            return
        request = {
            "installation": installation._asdict(),
            "machine": this_machine(),
            "tasks": [[*id[1:], bundle] for id, bundle in tasks],
        }
        self._call(client, _KEEP, request, doing="Registering this Python")

    def lend(self, client: AdminClient, execution: ExecutionId, target: Identifier) -> None:
        """Lend an execution that is about to be created what its tasks need from here.

        Those are the secrets that they ask for, as far as they are known here, and how stores and
        package indexes are reached.

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
        """Whether the local backend is on the other side. Nobody else is sent a person's variables."""
        if self._is_there is None:
            try:
                client.call(_KEEP, StringValue(), idempotent=False)
                self._is_there = False  # it takes an empty request, and so is none of ours
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
            self._is_there = False  # a backend of an earlier release
            return {}
        found: dict[str, Any] = json.loads(answer.value)
        return found


def own_calls(config: "Config | None") -> LocalBackend:
    """Return the local backend's own calls, which do nothing where it cannot be on the other side."""
    if config is None:
        return LocalBackend()
    return LocalBackend(is_there=None if is_loopback(config.endpoint) else False)
