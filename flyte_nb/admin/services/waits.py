"""`/flyte_nb.Engine/Waits`: what the nodes of an execution wait for, which flyteidl has no field for.

The request is JSON in a `StringValue`: `execution`, a list of project, domain and name. The answer has
`waits`, by node id: a kind (see `propeller.waits`) and a text for a person.
"""

import json

from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.service_parts import Rpcs
from flyte_nb.admin.services.installations import document_in, texts
from flyte_nb.admin.services.launches import Propeller
from flyte_nb.api.identifiers import ExecutionId

WAITS = "/flyte_nb.Engine/Waits"


class Waits:
    """Serve the call that says what nodes wait for."""

    def __init__(self, engine: Propeller) -> None:
        self._engine = engine

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {WAITS: self._waits}

    def _waits(self, request: StringValue) -> StringValue:
        execution = ExecutionId(*texts(document_in(request).get("execution"), 3, "execution"))
        waits = {node_id: list(wait) for node_id, wait in self._engine.waits(execution).items()}
        return StringValue(value=json.dumps({"waits": waits}))
