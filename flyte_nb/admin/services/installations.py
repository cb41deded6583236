"""`/flyte_nb.Installations/Keep`: a client sends the Python installation that its tasks run with.

The request is JSON in a `StringValue`: `installation` (see `runtime.installations`), `machine` (host
and boot) and `tasks`, each `[project, domain, name, version, bundle]`. The answer is `{}`. An
installation of another machine is ignored, because its paths mean nothing here.
"""

import json
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.refused import invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.store.installations import Installations, TaskBundle
from flyte_nb.api.identifiers import TASK, Identifier
from flyte_nb.runtime.installations import dumps, of_document
from flyte_nb.runtime.machine import HostMachine, this_machine

KEEP = "/flyte_nb.Installations/Keep"

_MOST_TEXT = 4096
_FIELDS = 5


class InstallationsService:
    """Serve the call that stores installations."""

    def __init__(self, parts: Parts) -> None:
        self._installations = Installations(parts.database)
        self._machine = this_machine()

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {KEEP: self._keep}

    def _keep(self, request: StringValue) -> StringValue:
        document = document_in(request)
        try:
            installation = of_document(document.get("installation"))
        except ValueError as error:
            raise invalid(f"invalid value for installation: {error}") from error
        tasks = _tasks(document.get("tasks"))
        if not _machine(document.get("machine")).is_another(self._machine):
            self._installations.keep(dumps(installation), tasks)
        return StringValue(value="{}")


def document_in(request: StringValue) -> "dict[str, Any]":
    """Return the JSON object of a request.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the text is no JSON or no object.
    """
    try:
        document = json.loads(request.value)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the request is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("the request is JSON, but not an object")
    return document


def texts(value: object, count: int, field: str) -> "list[str]":
    """Return `value` when it is a list of `count` texts.

    Raises:
        Refused: `INVALID_ARGUMENT` otherwise, naming `field`.
    """
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(isinstance(text, str) and len(text) <= _MOST_TEXT for text in value)
    ):
        raise invalid(
            f"invalid value for {field}: it must be a list of {count} texts of at most {_MOST_TEXT} letters"
        )
    return value


def _tasks(value: object) -> "list[TaskBundle]":
    if not isinstance(value, list):
        raise invalid("invalid value for tasks: it must be a list")
    found = []
    for item in value:
        *id, bundle = texts(item, _FIELDS, "tasks")
        found.append(TaskBundle(Identifier(TASK, *id), bundle))
    return found


def _machine(value: object) -> HostMachine:
    return HostMachine() if value is None else HostMachine(*texts(value, 2, "machine"))
