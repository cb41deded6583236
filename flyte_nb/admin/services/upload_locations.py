"""Answer where a file can be uploaded. Source: flyteadmin/dataproxy/service.go at v1.16.8."""

import base64
import hashlib
import os
import secrets
from pathlib import Path, PurePosixPath

from flyteidl.service import dataproxy_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.refused import exists, invalid
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_folder
from flyte_nb.admin.uploads import UploadServer

_MAX_EXPIRES_S = 3600
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAME_LENGTH = 20
_MD5_BYTES = 16
_PARTS = 4
"""Project, domain, root and file name. A path with fewer parts had an empty or `.` part."""
_MAX_NAME = 255
"""Bytes of one part of a path: the limit of nearly every file system."""
_MAX_PATH = 4000


class UploadLocations:
    """Serve CreateUploadLocation."""

    def __init__(self, parts: Parts, uploads: UploadServer, folder: Path) -> None:
        self._parts = parts
        self._uploads = uploads
        self._folder = folder

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {"CreateUploadLocation": self._create}

    def _create(
        self, request: dataproxy_pb2.CreateUploadLocationRequest
    ) -> dataproxy_pb2.CreateUploadLocationResponse:
        if not request.project or not request.domain:
            raise invalid("project and domain are required parameters")
        if not request.content_md5 and not request.filename_root:
            raise invalid("content_md5 or filename_root is a required parameter")
        check_folder(request.project, "project")
        check_folder(request.domain, "domain")
        if request.content_md5 and len(request.content_md5) != _MD5_BYTES:
            raise invalid(f"content_md5 must have {_MD5_BYTES} bytes")
        path = self._path(request)
        target = self._folder / path
        if target.is_dir():
            raise invalid(f"filename [{path}] is a folder")
        if request.filename and request.filename_root and target.exists():
            # The client uses this file again, also when it may not rewrite it. A new time of change
            # keeps `bundle gc` from deleting the file as an old one.
            os.utime(target)
            self._check_rewrite(target, request.content_md5)
        md5 = base64.b64encode(request.content_md5).decode()
        expires_s = expires_in_s(request)
        expires_at_us = self._parts.clock() + expires_s * 1_000_000
        url = self._uploads.location(path, md5=md5, expires_at=expires_at_us // 1_000_000)
        return dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=url,
            native_url=str(target),
            expires_at=moments.stamp(expires_at_us),
            headers={"Content-MD5": md5} if md5 else {},
        )

    def _path(self, request: dataproxy_pb2.CreateUploadLocationRequest) -> str:
        # As in FlyteAdmin, the content names the folder when the client does not.
        root = request.filename_root or base64.b32encode(request.content_md5).decode()
        filename = request.filename or "".join(
            secrets.choice(_NAME_LETTERS) for _ in range(_NAME_LENGTH)
        )
        path = PurePosixPath(request.project, request.domain, root, filename)
        # Names come from the client; none of them may lead out of the project's folder.
        if path.is_absolute() or ".." in path.parts or "\\" in str(path) or "\0" in str(path):
            raise invalid(f"filename [{path}] must stay below its project's folder")
        if len(path.parts) < _PARTS:
            raise invalid("filename_root and filename must each name a file or folder, not `.`")
        if len(os.fsencode(self._folder / path)) > _MAX_PATH or any(
            len(part.encode()) > _MAX_NAME for part in path.parts
        ):
            raise invalid(f"filename is too long: {_MAX_NAME} bytes a part, {_MAX_PATH} in all")
        return str(path)

    def _check_rewrite(self, target: Path, content_md5: bytes) -> None:
        if not content_md5 or _md5_of(target) != content_md5:
            raise exists(
                f"file already exists at location [{target}], specify a matching hash if"
                " you wish to rewrite"
            )


def _md5_of(path: Path) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


def expires_in_s(
    request: "dataproxy_pb2.CreateUploadLocationRequest | dataproxy_pb2.CreateDownloadLinkRequest"
    " | dataproxy_pb2.CreateDownloadLocationRequest",
) -> int:
    """Return how many seconds a location is valid: what the request asks for, else one hour.

    Raises:
        Refused: `INVALID_ARGUMENT`, when it asks for more than one hour.
    """
    if not request.HasField("expires_in"):
        return _MAX_EXPIRES_S
    seconds = int(request.expires_in.seconds)
    if seconds > _MAX_EXPIRES_S:
        raise invalid(
            f"expiresIn [{seconds}s] cannot exceed max allowed expiration [{_MAX_EXPIRES_S}s]"
        )
    return max(seconds, 1)
