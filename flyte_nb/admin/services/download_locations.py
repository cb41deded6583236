"""Sign URLs of objects for clients without credentials. Source: flyteadmin/dataproxy/service.go."""

from pathlib import Path

from flyteidl.admin import node_execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.admin import moments
from flyte_nb.admin.enums import enum_text
from flyte_nb.admin.refused import Refused, invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.upload_locations import expires_in_s
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.uploads import UploadServer
from flyte_nb.api.errors import RemoteError


class DownloadLocations:
    """Serve CreateDownloadLocation and CreateDownloadLink, for objects in the backend's own folder."""

    def __init__(self, parts: Parts, uploads: UploadServer, folder: Path) -> None:
        self._parts = parts
        self._runs = Runs(parts.database)
        self._uploads = uploads
        self._folder = folder

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {"CreateDownloadLocation": self._location, "CreateDownloadLink": self._link}

    def of_deck(
        self,
        node_id: identifier_pb2.NodeExecutionIdentifier,
        request: "dataproxy_pb2.CreateDownloadLinkRequest | None" = None,
    ) -> dataproxy_pb2.PreSignedURLs:
        """Return a signed URL of a node's deck.

        Args:
            node_id: The node.
            request: Says how long the URL is valid; `None` means one hour.

        Raises:
            Refused: `NOT_FOUND` for a node without a deck, `INVALID_ARGUMENT` for an unknown node.
        """
        request = request or dataproxy_pb2.CreateDownloadLinkRequest()
        try:
            stored = self._runs.node(node_id)[1]
        except RemoteError as error:
            raise invalid(f"failed to find node execution [{node_id}]. Error: {error}") from error
        uri = node_execution_pb2.NodeExecution.FromString(stored).closure.deck_uri
        if not uri:
            raise Refused("NOT_FOUND", f"no deckUrl found for request [{request}]")
        if self._parts.blobs.size(uri) is None:
            raise Refused("NOT_FOUND", "object not found")
        url, expires_at = self._signed(uri, request)
        return dataproxy_pb2.PreSignedURLs(signed_url=[url], expires_at=expires_at)

    def _location(
        self, request: dataproxy_pb2.CreateDownloadLocationRequest
    ) -> dataproxy_pb2.CreateDownloadLocationResponse:
        url, expires_at = self._signed(request.native_url, request)
        return dataproxy_pb2.CreateDownloadLocationResponse(signed_url=url, expires_at=expires_at)

    def _link(
        self, request: dataproxy_pb2.CreateDownloadLinkRequest
    ) -> dataproxy_pb2.CreateDownloadLinkResponse:
        if request.artifact_type != dataproxy_pb2.ARTIFACT_TYPE_DECK:
            raise invalid(
                f"error while validating request. Error: invalid artifact type"
                f" [{enum_text(dataproxy_pb2.ArtifactType, request.artifact_type)}]"
            )
        if not request.HasField("node_execution_id"):
            raise invalid("error while validating request. Error: source is required. Provided nil")
        urls = self.of_deck(request.node_execution_id, request)
        return dataproxy_pb2.CreateDownloadLinkResponse(
            signed_url=urls.signed_url, expires_at=urls.expires_at, pre_signed_urls=urls
        )

    def _signed(
        self,
        uri: str,
        request: "dataproxy_pb2.CreateDownloadLocationRequest"
        " | dataproxy_pb2.CreateDownloadLinkRequest",
    ) -> tuple[str, Timestamp]:
        expires_at_us = self._parts.clock() + expires_in_s(request) * 1_000_000
        path = Path(uri.removeprefix("file://"))
        # `..` is refused, not resolved: it would lead out of the folder after the check.
        if not path.is_absolute() or ".." in path.parts or not path.is_relative_to(self._folder):
            raise invalid(f"native_url [{uri}] is not in this backend's storage, {self._folder}")
        relative = path.relative_to(self._folder).as_posix()
        url = self._uploads.download_location(relative, expires_at=expires_at_us // 1_000_000)
        return url, moments.stamp(expires_at_us)
