"""A bucket that is reached by signed URLs only, and the FlyteAdmin calls that sign them.

The answers are those of FlyteAdmin 1.16 with a store of kind S3; the bucket checks what S3 checks: the
length, the MD5 that it is sent, and that every header which the signature covers is sent as it was signed.
Source: flyteadmin `dataproxy/service.go` at v1.16.8, and S3's own reference of PutObject and GetObject.
"""

import base64
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from flyteidl.service.dataproxy_pb2 import (
    CreateDownloadLocationResponse,
    CreateUploadLocationResponse,
)

from flyte_nb.api.errors import RemoteError

BUCKET = "s3://bucket/"
_META = "x-amz-meta-flyteContentMD5"


class SignedStore:
    """What lies in the bucket, and a FlyteAdmin's data proxy: pass it where an `AdminClient` is asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        """Content by native URL."""
        self.calls: Counter[str] = Counter()
        """How often each RPC was called."""
        self.received: list[tuple[str, str, int]] = []
        """Of each HTTP request: verb, native URL, and bytes of its body."""
        self.endpoint = ""
        self._metadata: dict[str, str] = {}
        self._lock = threading.Lock()

    def call(self, method: str, request: Any, *, doing: str = "", **_: Any) -> Any:
        """Answer `CreateUploadLocation` or `CreateDownloadLocation`.

        Raises:
            RemoteError: ALREADY_EXISTS, as FlyteAdmin refuses to give a place that is taken.
        """
        with self._lock:
            self.calls[method] += 1
        if method == "CreateDownloadLocation":
            signed = f"{self.endpoint}/{quote(request.native_url, safe='')}?verb=GET"
            return CreateDownloadLocationResponse(signed_url=signed)
        if method != "CreateUploadLocation":
            raise RemoteError(f"{doing}: unknown here.", code="UNIMPLEMENTED")
        return self._upload_location(request, doing)

    def metered(self) -> "SignedStore":
        """Return itself: it counts everything anyway."""
        return self

    def _upload_location(self, request: Any, doing: str) -> CreateUploadLocationResponse:
        root = request.filename_root or base64.b32encode(request.content_md5).decode()
        uri = f"{BUCKET}{request.project}/{request.domain}/{root}/{request.filename or 'random'}"
        md5 = base64.b64encode(request.content_md5).decode()
        if uri in self.objects and request.filename and request.filename_root:
            known = self._metadata.get(uri) or _md5(self.objects[uri])
            if known != md5:
                raise RemoteError(
                    f"{doing}: file already exists at location [{uri}], specify a matching hash if"
                    " you wish to rewrite.",
                    code="ALREADY_EXISTS",
                )
        # The length is that of the digest's text: FlyteAdmin has it so.
        headers = {"Content-Length": str(len(md5)), "Content-MD5": md5}
        if request.add_content_md5_metadata:
            headers[_META] = md5
        covered = "&".join(f"{name}={quote(value, safe='')}" for name, value in headers.items())
        signed = f"{self.endpoint}/{quote(uri, safe='')}?verb=PUT&{covered}"
        return CreateUploadLocationResponse(signed_url=signed, native_url=uri, headers=headers)

    def put(self, uri: str, body: bytes, sent: Any, signed: "dict[str, str]") -> "tuple[int, str]":
        """Take an object as S3 does; status and text."""
        for name, value in signed.items():
            if name.lower() != "content-length" and value and sent.get(name) != value:
                return 403, "<Code>SignatureDoesNotMatch</Code>"
        unsigned = [n for n in sent if n.lower().startswith("x-amz-") and n.lower() not in signed]
        if unsigned:
            return 403, f"<Code>AccessDenied</Code> not signed: {unsigned}"
        md5 = sent.get("Content-MD5")
        if md5 is not None and md5 != _md5(body):
            code = "BadDigest" if len(md5) == 24 else "InvalidDigest"
            return 400, f"<Code>{code}</Code>"
        with self._lock:
            self.objects[uri] = body
            self._metadata[uri] = signed.get(_META.lower(), "")
        return 200, ""


@contextmanager
def signed_store() -> "Iterator[SignedStore]":
    """An empty bucket that answers on loopback."""
    store = SignedStore()
    handler = type("_BoundBucket", (_Bucket,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    store.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Bucket(BaseHTTPRequestHandler):
    store: SignedStore
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Take an object."""
        length = self.headers.get("Content-Length")
        if length is None:
            self._answer(411, b"<Code>MissingContentLength</Code>")
            return
        uri, signed = self._signed()
        body = self.rfile.read(int(length))
        if self.rfile.raw.closed or len(body) != int(length):  # type: ignore[attr-defined]
            self._answer(400, b"<Code>IncompleteBody</Code>")
            return
        self.store.received.append(("PUT", uri, len(body)))
        status, text = self.store.put(uri, body, self.headers, signed)
        self._answer(status, text.encode())

    def do_GET(self) -> None:
        """Give an object, or its first bytes."""
        uri, _ = self._signed()
        self.store.received.append(("GET", uri, 0))
        data = self.store.objects.get(uri)
        if data is None:
            self._answer(404, b"<Code>NoSuchKey</Code>")
            return
        tag = {"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'}
        if self.headers.get("Range") == "bytes=0-0":
            if not data:
                self._answer(416, b"<Code>InvalidRange</Code>")
            else:
                self._answer(206, data[:1], {"Content-Range": f"bytes 0-0/{len(data)}", **tag})
            return
        self._answer(200, data, tag)

    def do_HEAD(self) -> None:
        """Refuse: the signature covers the verb."""
        self._answer(403, b"")

    def _signed(self) -> "tuple[str, dict[str, str]]":
        parts = urlsplit(self.path)
        query = {n: v[0] for n, v in parse_qs(parts.query, keep_blank_values=True).items()}
        query.pop("verb", None)
        return unquote(parts.path[1:]), {name.lower(): value for name, value in query.items()}

    def _answer(self, status: int, body: bytes, headers: "dict[str, str] | None" = None) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
