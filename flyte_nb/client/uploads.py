"""Store and read objects in FlyteAdmin's own storage, by URLs that FlyteAdmin signs.

A person needs no credentials for the bucket. FlyteAdmin gives a place only where no object is yet, and it
replaces none.

Source: flyteadmin `dataproxy/service.go` (CreateUploadLocation, CreateDownloadLocation) at v1.16.8, flytekit
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
    """Stores objects below one project and domain, and reads any object that FlyteAdmin can read."""

    def __init__(self, client: AdminClient, *, project: str, domain: str) -> None:
        self._client = client
        self._project = project
        self._domain = domain

    def metered(self, client: AdminClient) -> "Uploads":
        """Return an equal object whose calls go through `client`, which counts them."""
        return Uploads(client, project=self._project, domain=self._domain)

    def put_once(self, root: str, name: str, data: Source) -> "tuple[str, int]":
        """Make sure that `data` is stored at `root/name`; return its URI and how many bytes were sent.

        FlyteAdmin is asked once, without a checksum. It gives a place when there is no object, and
        refuses when there is one. An object that is there is compared by size and, where the store names
        it, by MD5. If it has other content, for example from an upload that was cut short, `data` is
        stored in a folder beside it, because FlyteAdmin replaces no object.

        Args:
            root: A folder below the project and domain.
            name: The object's name below `root`.
            data: The content; a `Path` for a file.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the store refused; transient when another try may help. Or both places have
                other content.
        """
        md5 = _md5(data)
        damaged: list[str] = []
        # The second folder also has one place for each object, so a third upload finds the second's object.
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
            " no object.",
            uri=damaged[0],
            hint="Delete these objects in the bucket, and try again.",
        )

    def stat(self, uri: str) -> "Stat | None":
        """Return size and MD5 of the object at `uri`; `None` when there is no object.

        Raises:
            RemoteError: FlyteAdmin signs no URL for it.
            StorageError: the store does not answer, or does not say the size.
        """
        return signed.stat(self._download_url(uri), uri)

    def _is_whole(self, uri: str, size: int, md5: bytes) -> bool:
        """Return whether the object has that content, as far as the store says.

        An object of which nothing is known counts as whole: FlyteAdmin refused to sign a URL for
        reading, and a task verifies every member's digest when it reads it.
        """
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
        """Download the object at `uri` to the local `path`.

        Raises:
            RemoteError: FlyteAdmin signs no URL for it.
            StorageError: the download failed.
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
        """Ask FlyteAdmin for a place for `root/name`.

        Returns:
            FlyteAdmin's answer with a signed URL; or, when an object is there, the object's URI.
        """
        request = CreateUploadLocationRequest(
            project=self._project, domain=self._domain, filename=name, filename_root=root
        )
        doing = f"Asking for a place to upload {name}"
        try:
            return self._client.call("CreateUploadLocation", request, doing=doing)
        except RemoteError as error:
            # FlyteAdmin's only hint at the object's URI is this text: "file already exists at [s3://…]".
            uri = error.message.partition("[")[2].partition("]")[0]
            if error.code != "ALREADY_EXISTS" or not ("://" in uri or uri.startswith("/")):
                raise
            return uri

    def _send(self, place: Any, data: Source, md5: bytes) -> None:
        """PUT `data` to the place that FlyteAdmin gave, with the headers that its store wants."""
        digest = base64.b64encode(md5).decode("ascii")
        headers = dict(place.headers)
        if place.native_url.startswith(_GOOGLE):
            # Google's signature covers this header even when it is absent, and we asked for a place
            # without a digest. Google answers the MD5 of what it stored, which `put` compares.
            headers = {k: v for k, v in headers.items() if k.lower() != "content-md5"}
        else:
            headers["Content-MD5"] = digest
        if place.native_url.startswith("abfs"):
            headers["x-ms-blob-type"] = "BlockBlob"  # Azure refuses a PUT that names no type
        signed.put(place.signed_url, data, headers, place.native_url, md5=digest)


class UploadStaging:
    """A `StagingArea` in FlyteAdmin's storage: content-addressed, each object sent once."""

    def __init__(self, uploads: Uploads, *, root: str = "flyte_nb") -> None:
        self._uploads = uploads
        self._root = root

    # The object's name has its digest, so FlyteAdmin's answer shows whether it is there already.
    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes were sent.

        Args:
            name: The path below the area, e.g. `ab/<sha256>`.
            data: The content.
            sha256: The content's digest, which FlyteAdmin does not take.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the store refused, or has other content at that place.
        """
        folder, _, last = name.rpartition("/")
        return self._uploads.put_once(f"{self._root}/{folder}".rstrip("/"), last, data)

    @property
    def is_local(self) -> bool:
        """Return `False`: each object is sent over the network."""
        return False

    def settle(self) -> None:
        """Do nothing: nobody can remove objects through FlyteAdmin, so nothing has to be stored again."""


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
