"""`/flyte_nb.Cache/Alike`: earlier nodes that looked for a result of the same task, the newest first.

The request is JSON in a `StringValue`: `node`, a list of project, domain, execution and node id. The answer
has `nodes`, lists of the same form. All else that is needed to say why a result was found or not (keys,
inputs, templates) is in flyteidl's own messages. A node without a catalog key has no answer.
"""

import json

from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.installations import document_in, texts
from flyte_nb.admin.store.schema import OF_EXECUTION

ALIKE = "/flyte_nb.Cache/Alike"

_MOST = 20


class Alike:
    """Serve the call that finds nodes with which a node can be compared."""

    def __init__(self, parts: Parts) -> None:
        self._database = parts.database

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {ALIKE: self._alike}

    def _alike(self, request: StringValue) -> StringValue:
        node = texts(document_in(request).get("node"), 4, "node")
        row = self._database.one(
            f"SELECT id, cache_key FROM node_executions WHERE {OF_EXECUTION} AND node_id = ?", node
        )
        found: list[list[str]] = []
        if row is not None and row[1]:
            dataset = "/".join(row[1].split("/")[:3]) + "/"
            # Keys of one dataset stand together in the index, and `0` comes after `/`.
            rows = self._database.all(
                "SELECT execution_project, execution_domain, execution_name, node_id"
                " FROM node_executions WHERE cache_key > ? AND cache_key < ? AND cache_key <> ''"
                " AND id < ? ORDER BY id DESC LIMIT ?",
                (dataset, f"{dataset[:-1]}0", row[0], _MOST),
            )
            found = [list(each) for each in rows]
        return StringValue(value=json.dumps({"nodes": found}))
