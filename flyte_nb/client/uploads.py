"""Bytes sent to FlyteAdmin's own storage through signed URLs, as flytekit sends them.

Source: flyteadmin `dataproxy/service.go` (CreateUploadLocation), flytekit `remote.py::upload_file`.
"""

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.service.dataproxy_pb2 import CreateUploadLocationRequest

from flyte_nb.api.errors import RemoteError, StorageError
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.config import is_loopback

_PUT_TIMEOUT_S = 600.0


class Uploads:
    """Puts objects below a project and domain."""

    def __init__(self, client: AdminClient, *, project: str, domain: str) -> None:
        self._client = client
        self._project = project
        self._domain = domain

    def metered(self, client: AdminClient) -> "Uploads":
        """The same, with its calls counted by `client`."""
        return Uploads(client, project=self._project, domain=self._domain)

    def existing(self, root: str, name: str) -> "str | None":
        """The URI of the object at `root/name`, or `None` when there is none.

        FlyteAdmin is asked for a place to write it without a checksum; it refuses that for an object
        that is there, and names where it lies.
        """
        try:
            self._client.call(
                "CreateUploadLocation",
                CreateUploadLocationRequest(
                    project=self._project, domain=self._domain, filename=name, filename_root=root
                ),
            )
        except RemoteError as error:
            if error.code != "ALREADY_EXISTS":
                raise
            place = error.message.partition("[")[2].partition("]")[0]
            return place if "://" in place else None
        return None

    def put(self, root: str, name: str, data: bytes) -> str:
        """Store `data` at `root/name`; return its URI.

        Raises:
            RemoteError: FlyteAdmin gives no place for it.
            StorageError: the place does not take it.
        """
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        place = self._client.call(
            "CreateUploadLocation",
            CreateUploadLocationRequest(
                project=self._project,
                domain=self._domain,
                filename=name,
                filename_root=root,
                content_md5=md5,
                add_content_md5_metadata=True,
            ),
            doing=f"Asking for a place to upload {name}",
        )
        headers = {
            "Content-Length": str(len(data)),
            "Content-MD5": base64.b64encode(md5).decode("ascii"),
            **place.headers,
        }
        if place.native_url.startswith("abfs"):
            headers["x-ms-blob-type"] = "BlockBlob"
        _send(place.signed_url, data, headers, place.native_url)
        return str(place.native_url)


class UploadStaging:
    """A `StagingArea` in FlyteAdmin's storage: content-addressed, each object sent once."""

    def __init__(self, uploads: Uploads, *, root: str = "flyte_nb") -> None:
        self._uploads = uploads
        self._root = root

    def stage(self, name: str, data: bytes, *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes were sent."""
        folder, _, last = name.rpartition("/")
        root = f"{self._root}/{folder}".rstrip("/")
        there = self._uploads.existing(root, last)
        if there is not None:
            return there, 0
        return self._uploads.put(root, last, data), len(data)


class _Answer(NamedTuple):
    status: int
    text: str


def _send(url: str, data: bytes, headers: "Mapping[str, str]", native_url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise StorageError(f"FlyteAdmin names {url!r} as the place to upload to.", uri=native_url)
    host = url.partition("://")[2].partition("/")[0] + ":"
    request = urllib.request.Request(url, data=data, headers=dict(headers), method="PUT")
    # A proxy is for the world outside; the local backend is here.
    proxies = urllib.request.ProxyHandler({} if is_loopback(host) else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=_PUT_TIMEOUT_S) as reply:
            answer = _Answer(reply.status, "")
    except urllib.error.HTTPError as error:
        answer = _Answer(error.code, error.read(2000).decode("utf-8", "replace"))
    except urllib.error.URLError as error:
        raise StorageError(
            f"Uploading to {native_url} failed: {error.reason}.", uri=native_url, transient=True
        ) from error
    if answer.status not in (200, 201, 204):
        raise StorageError(
            f"Uploading to {native_url} was refused with {answer.status}: {answer.text}",
            uri=native_url,
            transient=answer.status >= 500,
        )
