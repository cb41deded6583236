"""Signed URLs: bytes to and from a store that this process has no credentials for, over plain HTTP."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.client.config import is_loopback

_STALLED_S = 120.0
_CHUNK = 1 << 20
_PASSING = ("expired", "BadDigest", "Md5Mismatch", "RequestTimeout", "SlowDown", "Send it again")
"""Words of S3, GCS, Azure and our own backend for what asking for a new URL, and again, may help."""


def put(
    url: str, data: "bytes | memoryview | Path", headers: "Mapping[str, str]", native_url: str
) -> None:
    """PUT `data` (a `Path` for a file, which is not read into memory) to `url`.

    Raises:
        StorageError: it was not taken. It is transient where a new URL, and again, may help.
    """
    size = data.stat().st_size if isinstance(data, Path) else len(data)
    with _opened(data) as body:
        request = _Bare(url, data=body, method="PUT")
        for name, value in {"Content-Length": str(size), **headers}.items():
            request.add_header(name, value)
        _open(request, "Uploading to", native_url).close()


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


class _Bare(urllib.request.Request):
    """A request without the Content-Type of a form, which urllib adds and no signature covers."""

    def has_header(self, header_name: str) -> bool:
        return header_name == "Content-type" or super().has_header(header_name)


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
