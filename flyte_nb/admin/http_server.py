"""An HTTP server on loopback that survives idle connections and malformed requests."""

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
"""Connections that have sent no request yet. Each occupies a thread."""
_PAUSE_S = 0.1


class BoundedHttpServer(ThreadingHTTPServer):
    """Serves each connection in a thread. When too many send nothing, the oldest of these are closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: "tuple[str, int]", handler: "type[BaseHTTPRequestHandler]") -> None:
        super().__init__(address, handler)
        self._waiting_lock = threading.Lock()
        self._waiting: dict[socket.socket, None] = {}

    def get_request(self) -> "tuple[Any, Any]":
        """Accept a connection.

        Raises:
            OSError: when none can be accepted, e.g. because too many files are open.
        """
        try:
            return super().get_request()
        except OSError:
            # The limit of open files is reached. Without a pause the accept loop would spin.
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
                    # This wakes the thread that reads from it, which then closes it.
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def began(self, request: Any) -> None:
        """Note that a connection has sent the head of its request, so it is not idle."""
        with self._waiting_lock:
            self._waiting.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.began(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an unforeseen error. The standard library would write it to stderr."""
        _LOG.exception("a file request failed")


class BoundedHandler(BaseHTTPRequestHandler):
    """Reads one request within a time limit. Subclasses answer it in `do_GET` and `do_PUT`."""

    server: BoundedHttpServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"
    """For a request line without a version. As HTTP/0.9 it would be answered without a status."""

    timeout = _REQUEST_TIMEOUT_S

    def parse_request(self) -> bool:
        """Read the request's head; return whether there is a request to answer."""
        is_request = super().parse_request()
        self.server.began(self.connection)
        self.connection.settimeout(_SOCKET_TIMEOUT_S)
        return is_request

    def handle(self) -> None:
        """Serve one client. A client that leaves early is logged in one line."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError) as error:
            self.close_connection = True
            _LOG.info("a client closed its connection during a transfer: %s", error)

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request at DEBUG, without its query, which has the signature."""
        # `path` and `command` are missing when the first line could not be parsed.
        path = getattr(self, "path", "?").partition("?")[0]
        _LOG.debug("%s %s", getattr(self, "command", None), path)
