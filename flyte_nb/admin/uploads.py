"""Files over HTTP on loopback, at signed URLs. Uploads are checked, and appear whole or not at all.

The server starts with the first URL that is asked for, and takes no processor time while idle.
"""

import base64
import hashlib
import hmac
import logging
import os
import re
import secrets
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, quote, unquote, urlsplit

from flyte_nb.admin.home import private
from flyte_nb.admin.http_server import BoundedHandler, BoundedHttpServer
from flyte_nb.storage.file import sync_folder

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20
_ROUTES = {"PUT": "/upload/", "GET": "/download/"}
_NUMBER = re.compile(r"[0-9]{1,18}")


class UploadServer:
    """Signs URLs of files below `folder`, and serves them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # New for each process: URLs of an earlier backend are void.
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def location(self, path: str, *, md5: str, expires_at: int) -> str:
        """Return a URL to which the content of `path` can be PUT.

        Args:
            path: Relative to the folder, with `/` between parts.
            md5: Base64 of the content's MD5. When not empty, other content is refused.
            expires_at: Seconds since 1970. After it the URL is refused.
        """
        return self._url("PUT", path, md5, expires_at)

    def download_location(self, path: str, *, expires_at: int) -> str:
        """Return a URL from which the file `path` can be read.

        Args:
            path: Relative to the folder, with `/` between parts.
            expires_at: Seconds since 1970. After it the URL is refused.
        """
        return self._url("GET", path, "", expires_at)

    def _url(self, verb: str, path: str, md5: str, expires_at: int) -> str:
        with self._lock:
            if self._server is None:
                self._server = _Server(self._folder, self._key)
            port = self._server.port
        signature = _signature(self._key, verb, path, md5, expires_at)
        query = f"expires={expires_at}&md5={quote(md5, safe='')}&signature={signature}"
        return f"http://127.0.0.1:{port}{_ROUTES[verb]}{quote(path)}?{query}"

    def close(self) -> None:
        """Stop the server."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()


class _Server:
    """The HTTP server and its thread."""

    def __init__(self, folder: Path, key: bytes) -> None:
        handler = type("_BoundHandler", (_Handler,), {"folder": folder, "key": key})
        # Any free port will do, because each URL names it.
        self._http = BoundedHttpServer(("127.0.0.1", 0), handler)
        self.port: int = self._http.server_address[1]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flyte-nb-uploads", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Not `serve_forever`, which wakes up twice a second to check whether it should stop.
        while not self._closing.is_set():
            self._http.handle_request()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            pass  # the connection wakes `accept`, and the loop ends
        self._thread.join(timeout=5)
        self._http.server_close()


class _Handler(BoundedHandler):
    folder: Path
    key: bytes

    def do_PUT(self) -> None:  # noqa: N802 - the standard library calls it so
        """Store one file."""
        try:
            status, text = self._take()
        except (ConnectionError, TimeoutError):
            raise  # the client has gone, so there is nobody to answer
        except OSError as error:
            _LOG.warning("an upload failed: %s", error)
            status, text = HTTPStatus.INSUFFICIENT_STORAGE, f"The file cannot be written: {error}."
        self._respond(status, text)

    def do_GET(self) -> None:  # noqa: N802 - the standard library calls it so
        """Send one file, or a part of it."""
        path, _, refused = self._signed("GET")
        if refused is not None:
            self._respond(*refused)
            return
        try:
            with (self.folder / path).open("rb") as file:
                self._give(file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._respond(HTTPStatus.NOT_FOUND, "There is no such object.")
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            _LOG.warning("a download failed: %s", error)
            self._respond(HTTPStatus.INTERNAL_SERVER_ERROR, f"The object cannot be read: {error}.")

    def _give(self, file: BinaryIO) -> None:
        """Send the file, or the part of it that the request's `Range` asks for."""
        # Of the open file: an upload may replace the one at this path meanwhile.
        size = os.fstat(file.fileno()).st_size
        part = _part(self.headers.get("Range", ""), size)
        self.close_connection = True
        if part is None:
            first, last = 0, size - 1
            self.send_response(HTTPStatus.OK)
        elif not part:
            self._respond(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "The object ends before that."
            )
            return
        else:
            first, last = part
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            # As S3 sends it, so that a client sees whether all parts are of one file. It costs a read
            # of the file, so only requests for a part get it.
            digest = hashlib.md5(usedforsecurity=False)
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            self.send_header("ETag", f'"{digest.hexdigest()}"')
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Connection", "close")
        self.end_headers()
        # Computing the digest may have read to the end.
        file.seek(first)
        left = last - first + 1
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            self.wfile.write(chunk)
            left -= len(chunk)

    def _respond(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        # One request a connection: a refused upload leaves unread bytes behind.
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _signed(self, verb: str) -> "tuple[str, str, tuple[HTTPStatus, str] | None]":
        """Return the path and MD5 of the URL, and the answer when the URL is refused."""
        try:
            parts = urlsplit(self.path)
        except ValueError as error:
            return "", "", (HTTPStatus.BAD_REQUEST, f"The URL cannot be read: {error}.")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path.removeprefix(_ROUTES[verb]))
        md5, expires = query.get("md5", ""), query.get("expires", "")
        if not parts.path.startswith(_ROUTES[verb]) or not _NUMBER.fullmatch(expires):
            return path, md5, (HTTPStatus.NOT_FOUND, "There is nothing at this URL.")
        signature = _signature(self.key, verb, path, md5, int(expires))
        given = query.get("signature", "")
        # Compared as bytes, because `compare_digest` accepts only ASCII text.
        if not hmac.compare_digest(signature.encode(), given.encode("utf-8", "replace")):
            text = "The URL's signature is wrong. Ask for a new location."
            return path, md5, (HTTPStatus.FORBIDDEN, text)
        # The signature covers this time, so nobody can prolong a URL.
        if time.time() > int(expires):
            text = "The URL has expired. Ask for a new location."
            return path, md5, (HTTPStatus.FORBIDDEN, text)
        return path, md5, None

    def _take(self) -> tuple[HTTPStatus, str]:
        path, md5, refused = self._signed("PUT")
        if refused is not None:
            return refused
        length = self.headers.get("Content-Length", "")
        if not length:
            return HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing."
        if not _NUMBER.fullmatch(length):
            return HTTPStatus.BAD_REQUEST, "Content-Length is not a number of bytes."
        announced = self.headers.get("Content-MD5", md5)
        # A client may send no Content-MD5; then the one in the signed URL is checked.
        if md5 and announced != md5:
            return (
                HTTPStatus.BAD_REQUEST,
                "Content-MD5 is not the one that the location was made for. Ask for a new location.",
            )
        return self._write(self.folder / path, int(length), announced)

    def _write(self, target: Path, length: int, md5: str) -> tuple[HTTPStatus, str]:
        """Receive into a file beside `target`, check it, then move it into place in one step."""
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a rename is one step only within a file system.
        partial = target.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            digest = hashlib.md5(usedforsecurity=False)
            with open(partial, "xb", opener=private) as file:
                left = length
                while left:
                    chunk = self.rfile.read(min(left, _CHUNK_BYTES))
                    # The client left early; `finally` removes what came.
                    if not chunk:
                        return HTTPStatus.BAD_REQUEST, "The content ended early."
                    digest.update(chunk)
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(
                    file.fileno()
                )  # a client that got OK can rely on the file, also after a power cut
            actual = base64.b64encode(digest.digest()).decode()
            if md5 and actual != md5:
                text = f"The content has MD5 {actual}, Content-MD5 says {md5}. Send it again."
                return HTTPStatus.BAD_REQUEST, text
            # A new name needs its folder synced too, or a power cut may lose the name.
            os.replace(partial, target)
            sync_folder(str(target.parent))
        finally:
            partial.unlink(missing_ok=True)
        return HTTPStatus.OK, ""


def _part(asked: str, size: int) -> "tuple[int, int] | tuple[()] | None":
    """Return the first and last byte that a `Range` header asks for.

    Only one range is supported, which is what our clients and those of object stores send.

    Returns:
        `()` when the file has no such bytes, and `None` for the whole file.
    """
    match = re.fullmatch(r"bytes=(\d{0,20})-(\d{0,20})", asked.strip())
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:  # `bytes=-n`: the last n bytes
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
    return (first, last) if first <= last else ()


def _signature(key: bytes, verb: str, path: str, md5: str, expires_at: int) -> str:
    text = f"{verb}\n{path}\n{md5}\n{expires_at}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()
