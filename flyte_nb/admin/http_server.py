"""An HTTP server on loopback that clients cannot keep busy with nothing, nor its log with nonsense."""

import logging
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LOG = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S = 10
_SOCKET_TIMEOUT_S = 60
_MAX_WAITING = 64
"""Connections that have sent no request yet, each of which keeps a thread."""
_PAUSE_S = 0.1


class BoundedHttpServer(ThreadingHTTPServer):
    """One thread a connection; of those that only wait, the oldest make room for new ones."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: "tuple[str, int]", handler: "type[BaseHTTPRequestHandler]") -> None:
        super().__init__(address, handler)
        self._waiting_lock = threading.Lock()
        self._waiting: dict[socket.socket, None] = {}

    def get_request(self) -> "tuple[Any, Any]":
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError:  # no file may be opened any more: without a pause this would spin
            time.sleep(_PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._waiting_lock:
            self._waiting[request] = None
            if len(self._waiting) > _MAX_WAITING:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
        super().process_request(request, client_address)

    def began(self, request: Any) -> None:
        """Count a connection no longer among those that wait: it has sent its request's head."""
        with self._waiting_lock:
            self._waiting.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.began(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write to the log what nobody foresaw; the standard library writes to stderr."""
        _LOG.exception("a file request failed")


class BoundedHandler(BaseHTTPRequestHandler):
    """Reads one request within a time; subclasses answer it in `do_GET` and `do_PUT`."""

    server: BoundedHttpServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"
    """What a line without a version is taken for: as 0.9 it would be answered without a status."""

    timeout = _REQUEST_TIMEOUT_S

    def parse_request(self) -> bool:
        """Read the request's head; return whether there is something to answer."""
        is_request = super().parse_request()
        self.server.began(self.connection)
        self.connection.settimeout(_SOCKET_TIMEOUT_S)
        return is_request

    def handle(self) -> None:
        """Serve one client, who may leave in the middle."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError) as error:
            self.close_connection = True
            _LOG.info("a client left in the middle of a file: %s", error)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests go to the log, not to stderr; without the query, which has the signature."""
        # Both are missing when the request's first line was none.
        path = getattr(self, "path", "?").partition("?")[0]
        _LOG.debug("%s %s", getattr(self, "command", None), path)
