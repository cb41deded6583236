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
from flyte_nb.api.ports import Stat
from flyte_nb.client import signed
from flyte_nb.client.admin_client import AdminClient

_CHUNK = 1 << 20
_GOOGLE = ("gs://", "gcs://")

Source = bytes | memoryview | Path


class Uploads:
    """Puts objects below a project and domain, and gets any that FlyteAdmin can read."""

    def __init__(self, client: AdminClient, *, project: str, domain: str) -> None:
        self._client = client
        self._project = project
        self._domain = domain

    def metered(self, client: AdminClient) -> "Uploads":
        """Return the same, with its calls counted by `client`."""
        return Uploads(client, project=self._project, domain=self._domain)

    def put_once(self, root: str, name: str, data: Source) -> "tuple[str, int]":
        """Make sure that `data` is stored at `root/name`; return its URI, and how many bytes were sent.

        FlyteAdmin is asked once, without a checksum: it gives a place when nothing is there, and refuses
        when something is. What is there is compared by size and, where the store names it, by MD5.
        Other content there (an upload that was cut short) cannot be replaced through FlyteAdmin: then
        `data` goes to a folder beside it.

        Raises:
            RemoteError: FlyteAdmin gives no place for it.
            StorageError: the place does not take it; transient where trying again may help.
        """
        md5 = _md5(data)
        damaged = []
        for folder in (root, f"{root}-again"):
            place = self._place(folder, name)
            if not isinstance(place, str):
                self._send(place, data, md5)
                return str(place.native_url), _size(data)
            if self._is_whole(place, _size(data), md5):
                return place, 0
            damaged.append(place)
        raise StorageError(
            f"{' and '.join(damaged)} have other content than they should, and FlyteAdmin replaces"
            " nothing that is there.",
            uri=damaged[0],
            hint="Delete these objects in the bucket, and try again.",
        )

    def stat(self, uri: str) -> "Stat | None":
        """Return size and MD5 of the object at `uri`, by a URL that FlyteAdmin signs; `None` without one.

        Raises:
            RemoteError: FlyteAdmin signs none.
            StorageError: the store does not say it.
        """
        return signed.stat(self._download_url(uri), uri)

    def _is_whole(self, uri: str, size: int, md5: bytes) -> bool:
        """Whether the object has that content, as far as the store says; tasks verify what they read."""
        try:
            found = self.stat(uri)
        except RemoteError:
            return True
        except StorageError as error:
            if error.transient:
                raise
            return True
        return found is not None and found.size == size and found.md5 in ("", md5.hex())

    def get(self, uri: str, path: str) -> None:
        """Write the object at `uri` to the local `path`, by a URL that FlyteAdmin signs.

        Raises:
            RemoteError: FlyteAdmin signs none.
            StorageError: the URL does not give it.
        """
        signed.get(self._download_url(uri), path, uri)

    def _download_url(self, uri: str) -> str:
        answer = self._client.call(
            "CreateDownloadLocation",
            CreateDownloadLocationRequest(native_url=uri),
            doing=f"Asking for a URL to download {uri}",
        )
        return str(answer.signed_url)

    def _place(self, root: str, name: str) -> Any:
        """FlyteAdmin's answer with a place for `root/name`; its URI when something is stored there."""
        request = CreateUploadLocationRequest(
            project=self._project, domain=self._domain, filename=name, filename_root=root
        )
        doing = f"Asking for a place to upload {name}"
        try:
            return self._client.call("CreateUploadLocation", request, doing=doing)
        except RemoteError as error:
            uri = error.message.partition("[")[2].partition("]")[0]
            if error.code != "ALREADY_EXISTS" or not ("://" in uri or uri.startswith("/")):
                raise
            return uri

    def _send(self, place: Any, data: Source, md5: bytes) -> None:
        said = base64.b64encode(md5).decode("ascii")
        headers = dict(place.headers)
        if place.native_url.startswith(_GOOGLE):
            # Google's signature covers this header, also when it is not there. Its store answers the
            # MD5 of what it took instead.
            headers = {k: v for k, v in headers.items() if k.lower() != "content-md5"}
        else:
            headers["Content-MD5"] = said
        if place.native_url.startswith("abfs"):
            headers["x-ms-blob-type"] = "BlockBlob"
        signed.put(place.signed_url, data, headers, place.native_url, md5=said)


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
