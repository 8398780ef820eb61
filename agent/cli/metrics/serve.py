"""A web server for scrapers: GET /metrics, and nothing else.

A scraper that is slow, or only opens connections, has no effect on others: each connection has a thread, a deadline for
all of it, and there are only so many at once.
"""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ...base.errors import AgentError
from ..terminal import err, one_line
from . import negotiation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .families import Samples

_MOST = 16  # connections at once
_DEADLINE = 20.0  # seconds for a whole connection; Prometheus itself gives up after 10
_SMALL = 1400  # bytes: one packet, which compression does not make fewer


class Server(ThreadingHTTPServer):
    """`collect` is called by one thread at a time. Raises AgentError if it cannot listen."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        host: str,
        port: int,
        collect: Callable[[], Samples],
        labels: Mapping[str, str],
        deadline: float = _DEADLINE,
    ) -> None:
        self.labels = labels
        self.deadline = deadline
        self._collect = collect
        self._collecting = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family, _, _, _, address = found[0]
            super().__init__(address[:2], _Handler)  # type: ignore[arg-type]
        except (OSError, OverflowError) as error:
            raise AgentError(
                f"cannot listen on {host} port {port}: {error}; name another one with --serve or --host"
            ) from None

    def server_bind(self) -> None:
        """Without the look-up of the host's name that the base class makes, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        host = f"[{self.server_name}]" if ":" in str(self.server_name) else self.server_name
        return f"http://{host}:{self.server_port}/metrics"

    def samples(self) -> Samples:
        with self._collecting:
            return self._collect()

    def verify_request(self, *_: Any) -> bool:
        """Close a connection at once where there are too many."""
        return self._free.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()  # no thread could be started
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        deadline = threading.Timer(self.deadline, _hang_up, (request,))
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        """A scraper that has gone is no error of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            err(f"agent: a scrape failed: {one_line(repr(error))}")


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "erp-sentry-agent"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._reply(404, "text/plain; charset=utf-8", b"The metrics are at /metrics.\n")
            return
        chosen = negotiation.chosen(self.headers.get("Accept", ""))
        try:
            body = chosen.encode(self.server.samples(), self.server.labels)
        except Exception as error:
            what = one_line(error if isinstance(error, AgentError) else repr(error))
            err(f"agent: a scrape failed: {what}")
            self._reply(500, "text/plain; charset=utf-8", f"{what}\n".encode("utf-8", "backslashreplace"))
            return
        data = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        self._reply(200, chosen.content_type, data)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _reply(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Vary", "Accept, Accept-Encoding")
        if len(body) > _SMALL and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A line for each scrape would hide what matters."""
