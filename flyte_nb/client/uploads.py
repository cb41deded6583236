"""Bytes in FlyteAdmin's own storage, for people who have no credentials for it: by signed URLs.

Source: flyteadmin `dataproxy/service.go` (CreateUploadLocation, CreateDownloadLocation), flytekit
`remote.py::upload_file`.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

from flyteidl.service.dataproxy_pb2 import (
    CreateDownloadLocationRequest,
    CreateUploadLocationRequest,
)

from flyte_nb.api.errors import RemoteError, StorageError
from flyte_nb.client import signed
from flyte_nb.client.admin_client import AdminClient

_CHUNK = 1 << 20

Source = bytes | memoryview | Path


class Uploads:
    """Puts objects below a project and domain, and gets any that FlyteAdmin can read."""

    def __init__(self, client: AdminClient, *, project: str, domain: str) -> None:
        self._client = client
        self._project = project
        self._domain = domain

    def metered(self, client: AdminClient) -> "Uploads":
        """The same, with its calls counted by `client`."""
        return Uploads(client, project=self._project, domain=self._domain)

    def put_once(self, root: str, name: str, data: Source) -> "tuple[str, int]":
        """Make sure that `data` lies at `root/name`; its URI, and how many bytes were sent.

        What lies there already is compared by its MD5. Other content there (an upload that was cut
        short) cannot be replaced through FlyteAdmin: then `data` goes to a folder beside it.

        Raises:
            RemoteError: FlyteAdmin gives no place for it.
            StorageError: the place does not take it; transient where trying again may help.
        """
        md5 = _md5(data)
        for folder in (root, f"{root}-again"):
            there = self._there(folder, name)
            try:
                place = self._place(folder, name, md5)
            except RemoteError as error:
                if error.code != "ALREADY_EXISTS" or not there:
                    raise
                continue
            if there:
                return there, 0
            self._send(place, data, md5)
            return str(place.native_url), _size(data)
        # FlyteAdmin knows no MD5 of either, so it cannot compare; tasks verify what they read.
        return there, 0

    def get(self, uri: str, path: str) -> None:
        """Write the object at `uri` to the local `path`, by a URL that FlyteAdmin signs.

        Raises:
            RemoteError: FlyteAdmin signs none.
            StorageError: the URL does not give it.
        """
        answer = self._client.call(
            "CreateDownloadLocation",
            CreateDownloadLocationRequest(native_url=uri),
            doing=f"Asking for a URL to download {uri}",
        )
        signed.get(answer.signed_url, path, uri)

    def _there(self, root: str, name: str) -> str:
        """The URI of what lies at `root/name`, or empty when nothing does.

        FlyteAdmin is asked for a place to write it without a checksum; it refuses that for an object
        that is there, and names where it lies.
        """
        try:
            self._place(root, name, b"")
        except RemoteError as error:
            if error.code != "ALREADY_EXISTS":
                raise
            place = error.message.partition("[")[2].partition("]")[0]
            return place if "://" in place else ""
        return ""

    def _place(self, root: str, name: str, md5: bytes) -> Any:
        request = CreateUploadLocationRequest(
            project=self._project,
            domain=self._domain,
            filename=name,
            filename_root=root,
            content_md5=md5,
            add_content_md5_metadata=bool(md5),
        )
        doing = f"Asking for a place to upload {name}"
        return self._client.call("CreateUploadLocation", request, doing=doing)

    def _send(self, place: Any, data: Source, md5: bytes) -> None:
        headers = {"Content-MD5": base64.b64encode(md5).decode("ascii"), **place.headers}
        if place.native_url.startswith("abfs"):
            headers["x-ms-blob-type"] = "BlockBlob"
        signed.put(place.signed_url, data, headers, place.native_url)


class UploadStaging:
    """A `StagingArea` in FlyteAdmin's storage: content-addressed, each object sent once."""

    def __init__(self, uploads: Uploads, *, root: str = "flyte_nb") -> None:
        self._uploads = uploads
        self._root = root

    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes were sent."""
        folder, _, last = name.rpartition("/")
        return self._uploads.put_once(f"{self._root}/{folder}".rstrip("/"), last, data)

    @property
    def is_local(self) -> bool:
        """Never: each object is sent over the network."""
        return False

    def settle(self) -> None:
        """Do nothing: who cleans up cannot remove objects through FlyteAdmin."""


def _md5(data: Source) -> bytes:
    if not isinstance(data, Path):
        return hashlib.md5(data, usedforsecurity=False).digest()
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with data.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise StorageError(f"Cannot read {data}: {error.strerror}.", uri=str(data)) from error
    return digest.digest()


def _size(data: Source) -> int:
    return data.stat().st_size if isinstance(data, Path) else len(data)
