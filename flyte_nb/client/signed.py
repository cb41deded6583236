"""Signed URLs: bytes to and from a store that this process has no credentials for, over plain HTTP."""

import base64
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat
from flyte_nb.client.config import is_loopback

_STALLED_S = 120.0
_CHUNK = 1 << 20
_PASSING = ("expired", "BadDigest", "Md5Mismatch", "RequestTimeout", "SlowDown", "Send it again")
"""Words of S3, GCS, Azure and our own backend for what asking for a new URL, and again, may help."""
_OF_THE_MESSAGE = frozenset({"content-length", "transfer-encoding", "connection", "host", "expect"})
"""Headers of the HTTP message itself. Only who sends it knows their values."""
_EMPTY = "was refused with 416"
"""Stores answer so when the first byte of an empty object is asked for."""


def put(
    url: str,
    data: "bytes | memoryview | Path",
    headers: "Mapping[str, str]",
    native_url: str,
    *,
    md5: str = "",
) -> None:
    """PUT `data` (a `Path` for a file, which is not read into memory) to `url`.

    Args:
        url: The signed URL.
        data: The content.
        headers: What FlyteAdmin or the caller asks to send. Those that say how the content is framed
            are left out: FlyteAdmin answers a `Content-Length` that is the length of the digest.
            Those without a value are left out too: they stand for "not given".
        native_url: The object, for error messages.
        md5: Base64 of the content's MD5, compared with the one that the store answers, if it does.

    Raises:
        StorageError: it was not taken, or the store says that it has other bytes. It is transient where
            a new URL, and again, may help.
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
    """Write what `url` gives to the local `path`, which appears whole or not at all.

    Raises:
        StorageError: it cannot be had. It is transient where a new URL, and again, may help.
    """
    beside = f"{path}.{os.urandom(4).hex()}.part"
    try:
        with _open(urllib.request.Request(url), "Downloading", native_url) as answer:
            announced = answer.headers.get("Content-Length")
            with open(beside, "xb") as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                size = file.tell()
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
    """Return size and MD5 of what lies behind a signed download URL; `None` when nothing does.

    One byte is asked for: a URL that is signed for GET refuses HEAD.

    Raises:
        StorageError: the store does not say it.
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
    # Without a range (an empty object, or a server that has none) the answer is the object.
    whole = headers.get("Content-Range", "").rpartition("/")[2]
    size = whole or headers.get("Content-Length", "")
    if not size.isdecimal():
        raise StorageError(f"The store does not say the size of {native_url}.", uri=native_url)
    return Stat(int(size), md5=_told_md5(headers))


class _Bare(urllib.request.Request):
    """A request without the Content-Type of a form, which urllib adds and no signature covers."""

    def has_header(self, header_name: str) -> bool:
        return header_name == "Content-type" or super().has_header(header_name)


def _told_md5(headers: Any) -> str:
    """The MD5 of the whole object, in hex, where the answer names one.

    S3's ETag is the MD5 unless the object was encrypted or uploaded in parts; then it is either
    longer or taken for an MD5 by nobody, as S3 says which encryption it used.
    """
    of_google = _google_md5(headers)
    if of_google:
        return base64.b64decode(of_google).hex()
    of_azure = headers.get("x-ms-blob-content-md5", "")
    if of_azure:
        return base64.b64decode(of_azure).hex()
    tag = str(headers.get("ETag", "")).strip('"')
    encrypted = headers.get("x-amz-server-side-encryption", "").startswith("aws:")
    is_md5 = len(tag) == 32 and set(tag) <= set("0123456789abcdef")
    return tag if is_md5 and not encrypted else ""


def _google_md5(headers: Any) -> str:
    """The MD5, in base64, that Google's store says an object has."""
    for value in headers.get_all("x-goog-hash") or ():
        for part in value.split(","):
            kind, _, digest = part.strip().partition("=")
            if kind == "md5":
                return str(digest)
    return ""


def _opened(data: "bytes | memoryview | Path") -> "AbstractContextManager[Any]":
    if isinstance(data, Path):
        return data.open("rb")
    return nullcontext(data)  # as it is: an array's buffer is not copied to be sent


def _open(request: urllib.request.Request, doing: str, native_url: str) -> Any:
    url = request.full_url
    if not url.startswith(("https://", "http://")):
        raise StorageError(
            f"FlyteAdmin names {url!r} as the place for {native_url}.", uri=native_url
        )
    # A proxy is for the world outside; the local backend is here.
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
    except (OSError, http.client.HTTPException) as error:  # raised bare while the answer is awaited
        raise _failed(doing, native_url, f"{type(error).__name__}: {error}") from error


def _failed(doing: str, native_url: str, reason: str) -> StorageError:
    return StorageError(f"{doing} {native_url} failed: {reason}.", uri=native_url, transient=True)
