"""Read the inputs and outputs of executions, nodes and attempts.

Values under 2 MB come inside the answer. For larger ones the answer has their URI.
Source: flyteadmin/pkg/manager/impl/util/data.go, flyteadmin/pkg/common/flyte_url.go at v1.16.8.
"""

import re

from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    node_execution_pb2,
    task_execution_pb2,
)
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf.message import DecodeError

from flyte_nb.admin.refused import Refused, invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.download_locations import DownloadLocations
from flyte_nb.admin.services.dynamic_closures import dynamic_closure
from flyte_nb.admin.store.runs import Runs
from flyte_nb.api.errors import StorageError

_MAX_WHOLE_BYTES = 2 * 1024 * 1024
_MAX_URL = 2000
_FLYTE_URL = re.compile(
    r"flyte://v1/(?P<project>[\w-]+)/(?P<domain>[\w-]+)/(?P<name>[\w-]+)/(?P<node>[\w-]+)"
    r"(?:/(?P<attempt>\d{1,9}))?/(?P<side>[iod])(?:/(?P<variable>[\w-]+))?",
    re.ASCII,
)


class Data:
    """Serve the calls that read values."""

    def __init__(self, parts: Parts, decks: DownloadLocations) -> None:
        self._parts = parts
        self._runs = Runs(parts.database)
        self._decks = decks

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "GetExecutionData": self._of_execution,
            "GetNodeExecutionData": self._of_node,
            "GetTaskExecutionData": self._of_attempt,
            "GetData": self._of_url,
        }

    def _of_execution(
        self, request: execution_pb2.WorkflowExecutionGetDataRequest
    ) -> execution_pb2.WorkflowExecutionGetDataResponse:
        stored = self._runs.get(request.id)
        outputs_uri = stored.execution().closure.outputs.uri
        return execution_pb2.WorkflowExecutionGetDataResponse(
            inputs=self._blob(stored.inputs_uri),
            outputs=self._blob(outputs_uri),
            full_inputs=self._literals(stored.inputs_uri),
            full_outputs=self._literals(outputs_uri),
        )

    def _of_node(
        self, request: node_execution_pb2.NodeExecutionGetDataRequest
    ) -> node_execution_pb2.NodeExecutionGetDataResponse:
        node, workflow_uri = self._runs.dynamic_workflow(request.id)
        run = request.id.execution_id
        base = f"flyte://v1/{run.project}/{run.domain}/{run.name}/{request.id.node_id}"
        return node_execution_pb2.NodeExecutionGetDataResponse(
            inputs=self._blob(node.input_uri),
            outputs=self._blob(node.closure.output_uri),
            full_inputs=self._literals(node.input_uri),
            full_outputs=self._literals(node.closure.output_uri),
            flyte_urls=_urls(base, has_deck=bool(node.closure.deck_uri)),
            dynamic_workflow=self._dynamic(workflow_uri, node.closure.dynamic_job_spec_uri),
        )

    def _dynamic(
        self, uri: str, job_uri: str
    ) -> "node_execution_pb2.DynamicWorkflowNodeMetadata | None":
        """Return the workflow that a dynamic task made; `None` when there is none, or it was deleted."""
        if not uri:
            return None
        try:
            closure = dynamic_closure(self._parts.blobs, uri)
        except Refused:
            return None
        return node_execution_pb2.DynamicWorkflowNodeMetadata(
            id=closure.primary.template.id, compiled_workflow=closure, dynamic_job_spec_uri=job_uri
        )

    def _of_attempt(
        self, request: task_execution_pb2.TaskExecutionGetDataRequest
    ) -> task_execution_pb2.TaskExecutionGetDataResponse:
        message = self._runs.attempt(request.id)
        task = task_execution_pb2.TaskExecution.FromString(message)
        node = request.id.node_execution_id
        run = node.execution_id
        base = (
            f"flyte://v1/{run.project}/{run.domain}/{run.name}/{node.node_id}"
            f"/{request.id.retry_attempt}"
        )
        return task_execution_pb2.TaskExecutionGetDataResponse(
            inputs=self._blob(task.input_uri),
            outputs=self._blob(task.closure.output_uri),
            full_inputs=self._literals(task.input_uri),
            full_outputs=self._literals(task.closure.output_uri),
            flyte_urls=_urls(base, has_deck=False),
        )

    def _of_url(self, request: dataproxy_pb2.GetDataRequest) -> dataproxy_pb2.GetDataResponse:
        """Return the literals, literal or deck that a `flyte://` URL names; raise `Refused` otherwise."""
        url = request.flyte_url
        # The length first: an error quotes the URL, and nobody needs a long one.
        match = _FLYTE_URL.fullmatch(url) if len(url) <= _MAX_URL else None
        if match is None:
            raise invalid(f"failed to parse [{url[:_MAX_URL]}]")
        node_id = identifier_pb2.NodeExecutionIdentifier(
            node_id=match["node"],
            execution_id=identifier_pb2.WorkflowExecutionIdentifier(
                project=match["project"], domain=match["domain"], name=match["name"]
            ),
        )
        # i: inputs, o: outputs, d: deck.
        if match["side"] == "d":
            return dataproxy_pb2.GetDataResponse(pre_signed_urls=self._decks.of_deck(node_id))
        uri = self._uri(node_id, match["attempt"], match["side"])
        literals = self._literals(uri)
        variable = match["variable"]
        if not variable:
            return dataproxy_pb2.GetDataResponse(literal_map=literals)
        if variable not in literals.literals:
            raise Refused("NOT_FOUND", f"no literal {variable} found at {request.flyte_url}")
        return dataproxy_pb2.GetDataResponse(literal=literals.literals[variable])

    def _uri(
        self, node_id: identifier_pb2.NodeExecutionIdentifier, attempt: "str | None", side: str
    ) -> str:
        if attempt is not None:
            message = self._runs.attempt_number(node_id, int(attempt))
            task = task_execution_pb2.TaskExecution.FromString(message)
            return task.input_uri if side == "i" else task.closure.output_uri
        node = node_execution_pb2.NodeExecution.FromString(self._runs.node(node_id)[1])
        return node.input_uri if side == "i" else node.closure.output_uri

    def _literals(self, uri: str) -> literals_pb2.LiteralMap:
        """Return the literals at `uri`; an empty map when they are large or cannot be read."""
        try:
            size = self._parts.blobs.size(uri) if uri else None
            # The size is asked first, so that a large value is not read in vain.
            if size is None or size >= _MAX_WHOLE_BYTES:
                return literals_pb2.LiteralMap()
            return literals_pb2.LiteralMap.FromString(self._parts.blobs.read(uri))
        except (StorageError, DecodeError):
            # As in FlyteAdmin, deleted values do not make the rest of the answer fail.
            return literals_pb2.LiteralMap()

    def _blob(self, uri: str) -> common_pb2.UrlBlob:
        """Return the URI and size of a large value, and an empty message for a small one.

        Clients prefer the URI when it is set, so it stays empty for values that the answer contains.
        """
        try:
            size = self._parts.blobs.size(uri) if uri else None
        except StorageError:
            size = None
        if size is None or size < _MAX_WHOLE_BYTES:
            return common_pb2.UrlBlob()
        return common_pb2.UrlBlob(url=uri, bytes=size)


def _urls(base: str, *, has_deck: bool) -> common_pb2.FlyteURLs:
    return common_pb2.FlyteURLs(
        inputs=f"{base}/i", outputs=f"{base}/o", deck=f"{base}/d" if has_deck else ""
    )
