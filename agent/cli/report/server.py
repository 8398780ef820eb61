"""The live page: a server on the loopback, for whoever was given its address.

Other users of this machine may connect to the loopback as well, and the state folder is closed to them: the address
contains a secret. A page of another site that resolves its own name to the loopback is refused by the Host header.
"""

from __future__ import annotations

import hmac
import secrets
import sys
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from ...base.errors import AgentError
from ..terminal import err
from .page import policy

if TYPE_CHECKING:
    from collections.abc import Callable

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_EVERY = 5.0  # seconds after which the page asks again
_STALE = 2.0  # seconds for which a page serves all who ask, at least


class Server(ThreadingHTTPServer):
    """Makes the page when it is asked for. Raises OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, make: Callable[[float], str], port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made: tuple[float, str] | None = None  # until when the page serves, and the page
        self.path = f"/{secrets.token_urlsafe(16)}/"
        super().__init__((_ADDRESS, port), _Handler)

    def server_bind(self) -> None:
        """Without the look-up of the machine's name that the base class makes, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def address(self) -> str:
        return f"http://{_ADDRESS}:{self.server_port}{self.path}"

    def accepts(self, host: str | None) -> bool:
        return host in [f"{name}:{self.server_port}" for name in _NAMES]

    def page(self) -> str:
        """Raises AgentError where the page cannot be made."""
        with self._lock:
            began = self._clock()
            if self._made is None or began >= self._made[0]:
                self._made = None
                text = self._make(_EVERY)
                ended = self._clock()
                # Where a page takes long to make, this is not to keep a processor of the ERP's busy.
                self._made = (ended + max(_STALE, 4 * (ended - began)), text)
            return self._made[1]

    def handle_error(self, *_: Any) -> None:
        """A browser that went away in the middle is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            err(f"a request to the report failed: {sys.exc_info()[1]!r}")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "erp-agent"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        if not self.server.accepts(self.headers.get("Host")):
            self._reply(403, "This server replies to 127.0.0.1 and localhost only.\n")
        elif not hmac.compare_digest(self.path.encode(), self.server.path.encode()):
            self._reply(404, "Open the address that `python -m agent report --serve` printed.\n")
        else:
            try:
                text = self.server.page()
            except AgentError as error:
                self._reply(503, f"{error}\n")
            else:
                self._reply(200, text, "text/html")

    def _reply(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A request every few seconds is no news."""


def serve(make: Callable[[float], str], port: int, *, show: bool) -> None:
    """Serve until Ctrl-C. Raises AgentError where the port is taken, or the page cannot be made."""
    try:
        server = Server(make, port)
    except OSError as error:
        raise AgentError(f"port {port} of {_ADDRESS}: {error.strerror}; name another one: --serve PORT") from None
    with server:
        server.page()  # what cannot be made fails here and not in the browser
        err(f"the report is at {server.address} until Ctrl-C; for this machine and whoever has this address")
        if show:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            err("stopped")
