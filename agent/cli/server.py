"""The web server of `report --serve` and `metrics --serve`.

A client that is slow, or only opens connections, has no effect on others: each connection has a thread, a deadline for
all of it, and there are only so many at once.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..base.errors import AgentError
from .terminal import err, one_line

_MOST = 16  # connections at once


class Server(ThreadingHTTPServer):
    """`deadline` in seconds. Raises AgentError, which names `options`, if it cannot listen."""

    daemon_threads = True
    request_queue_size = 64
    request = "a request"  # in messages

    def __init__(self, host: str, port: int, handler: type[Handler], *, deadline: float, options: str) -> None:
        self.deadline = deadline
        self._free = threading.BoundedSemaphore(_MOST)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family, _, _, _, address = found[0]
            super().__init__(address[:2], handler)  # type: ignore[arg-type]
        except (OSError, OverflowError) as error:
            raise AgentError(f"cannot listen on {host} port {port}: {error}; name another one with {options}") from None

    def server_bind(self) -> None:
        """Without the look-up of the host's name that the base class makes, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def url_of(self, path: str) -> str:
        host = f"[{self.server_name}]" if ":" in str(self.server_name) else self.server_name
        return f"http://{host}:{self.server_port}{path}"

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
        """A client that has gone is no error of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            err(f"agent: {self.request} failed: {one_line(repr(error))}")


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended


class Handler(BaseHTTPRequestHandler):
    """`get` responds to GET, and without the body to HEAD."""

    server_version = "erp-sentry-agent"
    sys_version = ""

    def get(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.get()

    def do_HEAD(self) -> None:
        self.get()

    def reply(self, status: int, content_type: str, body: bytes | str, headers: Mapping[str, str]) -> None:
        data = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """A line for each request would hide what matters."""
