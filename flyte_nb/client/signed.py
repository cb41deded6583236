"""Send and fetch bytes by signed URLs, over plain HTTP: no credentials for the store are needed.

FlyteAdmin signs the URLs for its own storage: S3, Google Cloud Storage, Azure Blob Storage, or the local
backend's folder. Their rules differ in which headers the signature covers and which digests they answer.
"""

import base64
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from email.message import Message
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat
from flyte_nb.client.config import is_loopback

_STALLED_S = 120.0
"""A transfer fails when no byte moves for this long."""
_CHUNK = 1 << 20
_PASSING = ("expired", "BadDigest", "Md5Mismatch", "RequestTimeout", "SlowDown", "Send it again")
"""Words in refusals of S3, GCS, Azure and our own backend after which a new URL and another try may help."""
_OF_THE_MESSAGE = frozenset({"content-length", "transfer-encoding", "connection", "host", "expect"})
"""Headers that describe the HTTP message itself. Only its sender knows their values."""
_EMPTY = "was refused with 416"
"""Part of the error for a range that cannot be satisfied: the first byte of an empty object."""


def put(
    url: str,
    data: "bytes | memoryview | Path",
    headers: "Mapping[str, str]",
    native_url: str,
    *,
    md5: str = "",
) -> None:
    """PUT `data` to `url`.

    Args:
        url: The signed URL.
        data: The content; a `Path` for a file, which is not read into memory.
        headers: The headers that FlyteAdmin or the caller wants to be sent. Headers of the HTTP message
            itself are left out: FlyteAdmin answers a `Content-Length` that is the length of the digest.
            Headers without a value are left out too; FlyteAdmin means "not given" by them.
        native_url: The object's own URI, for error messages.
        md5: Base64 of the content's MD5. It is compared with the MD5 that the store answers, if any.

    Raises:
        StorageError: the store refused the content, or has stored other bytes. The error is transient
            when another try with a new URL may help.
    """
    size = data.stat().st_size if isinstance(data, Path) else len(data)
    with _opened(data) as body:
        request = _Bare(url, data=body, method="PUT")
        for name, value in headers.items():
            if value and name.lower() not in _OF_THE_MESSAGE:
                request.add_header(name, value)
        request.add_header("Content-Length", str(size))
        with _open(request, "Uploading to", native_url) as answer:
            stored = _google_md5(answer.headers)
    if stored and md5 and stored != md5:
        text = f"the store has content of MD5 {stored}, and {md5} was sent"
        raise _failed("Uploading to", native_url, text)


def get(url: str, path: str, native_url: str) -> None:
    """Download `url` to the local `path`. The file appears there whole or not at all.

    Args:
        url: The signed URL.
        path: The local path.
        native_url: The object's own URI, for error messages.

    Raises:
        StorageError: the download failed. The error is transient when another try with a new URL may
            help.
    """
    beside = f"{path}.{os.urandom(4).hex()}.part"
    try:
        with _open(urllib.request.Request(url), "Downloading", native_url) as answer:
            announced = answer.headers.get("Content-Length")
            with open(beside, "xb") as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                size = file.tell()
        # urllib ends a body that was cut short without an error.
        if announced is not None and int(announced) != size:
            raise _failed("Downloading", native_url, f"it ended after {size} of {announced} bytes")
        os.replace(beside, path)
    except http.client.HTTPException as error:
        raise _failed("Downloading", native_url, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise _failed("Downloading", native_url, str(error)) from error
    finally:
        Path(beside).unlink(missing_ok=True)


def stat(url: str, native_url: str) -> "Stat | None":
    """Return size and MD5 of the object behind a signed download URL; `None` when there is no object.

    The request asks for one byte, because stores refuse HEAD for a URL that was signed for GET.

    Args:
        url: The signed URL.
        native_url: The object's own URI, for error messages.

    Raises:
        StorageError: the store refused, or does not say the size.
    """
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})
    try:
        with _open(request, "Looking at", native_url) as answer:
            headers = answer.headers
    except StorageError as error:
        if error.missing:
            return None
        if _EMPTY in str(error):
            return Stat(0)
        raise
    # A server that does not know ranges answers with the whole object and its length.
    whole = headers.get("Content-Range", "").rpartition("/")[2]
    size = whole or headers.get("Content-Length", "")
    if not size.isdecimal():
        raise StorageError(f"The store does not say the size of {native_url}.", uri=native_url)
    return Stat(int(size), md5=_answered_md5(headers))


class _Bare(urllib.request.Request):
    """A request to which urllib does not add a form's Content-Type, which no signature covers."""

    def has_header(self, header_name: str) -> bool:
        return header_name == "Content-type" or super().has_header(header_name)


def _answered_md5(headers: Message) -> str:
    """Return the MD5 of the whole object, in hex; empty when the answer has none.

    S3's ETag is the MD5, except in two cases. For an object that was uploaded in parts it has more than
    32 characters. For an object that is encrypted by a key of KMS it looks like an MD5 and is none; a
    header names the encryption then.
    """
    google_md5 = _google_md5(headers)
    if google_md5:
        return base64.b64decode(google_md5).hex()
    azure_md5 = headers.get("x-ms-blob-content-md5", "")
    if azure_md5:
        return base64.b64decode(azure_md5).hex()
    tag = str(headers.get("ETag", "")).strip('"')
    encrypted = headers.get("x-amz-server-side-encryption", "").startswith("aws:")
    is_md5 = len(tag) == 32 and set(tag) <= set("0123456789abcdef")
    return tag if is_md5 and not encrypted else ""


def _google_md5(headers: Message) -> str:
    """Return the object's MD5, in base64, from Google's header `x-goog-hash`; empty when it has none."""
    for value in headers.get_all("x-goog-hash") or ():
        for part in value.split(","):
            kind, _, digest = part.strip().partition("=")
            if kind == "md5":
                return str(digest)
    return ""


def _opened(data: "bytes | memoryview | Path") -> "AbstractContextManager[Any]":
    """Return a context that gives the body of a request. An array's buffer is sent without a copy."""
    if isinstance(data, Path):
        return data.open("rb")
    return nullcontext(data)


def _open(request: urllib.request.Request, doing: str, native_url: str) -> Any:
    """Send the request and return urllib's answer; raise `StorageError` when the store refuses."""
    url = request.full_url
    if not url.startswith(("https://", "http://")):  # urllib would also open file: and ftp:
        raise StorageError(
            f"FlyteAdmin signed {url!r} for {native_url}, which is no web address.", uri=native_url
        )
    # No proxy reaches the loopback interface of this machine, where the local backend listens.
    here = is_loopback(request.host.partition(":")[0] + ":")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({} if here else None))
    try:
        return opener.open(request, timeout=_STALLED_S)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode("utf-8", "replace")
        passing = error.code in (408, 429) or error.code >= 500
        raise StorageError(
            f"{doing} {native_url} was refused with {error.code}: {text}",
            uri=native_url,
            transient=passing or any(word.lower() in text.lower() for word in _PASSING),
            missing=error.code == 404,
        ) from error
    except urllib.error.URLError as error:
        raise _failed(doing, native_url, str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        # urllib wraps errors of sending in URLError, and lets errors of waiting for the answer through.
        raise _failed(doing, native_url, f"{type(error).__name__}: {error}") from error


def _failed(doing: str, native_url: str, reason: str) -> StorageError:
    return StorageError(f"{doing} {native_url} failed: {reason}.", uri=native_url, transient=True)
