"""The live page: a server on the loopback, for whoever was given its address.

Other users of this machine may connect to the loopback as well, and the state folder is closed to them: the address
contains a secret. A page of another site that resolves its own name to the loopback is refused by the Host header.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
import webbrowser
from collections.abc import Callable

from ...base.errors import AgentError
from .. import server
from ..terminal import err
from .page import policy

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_EVERY = 5.0  # seconds after which the page asks again
_DEADLINE = 300.0  # seconds for a whole connection: a page of many operations takes long to make
_STALE = 2.0  # seconds for which a page serves all who ask, at least

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server(server.Server):
    """Makes the page when it is asked for. Raises AgentError where the port is taken."""

    request = "a request to the report"

    def __init__(self, make: Callable[[float], str], port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made: tuple[float, str] | None = None  # until when the page serves, and the page
        self.path = f"/{secrets.token_urlsafe(16)}/"
        super().__init__(_ADDRESS, port, _Handler, deadline=_DEADLINE, options="--serve PORT")

    @property
    def address(self) -> str:
        return self.url_of(self.path)

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


class _Handler(server.Handler):
    server: Server

    def get(self) -> None:
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
        headers = {"Content-Security-Policy": f"{policy(live=True)}; frame-ancestors 'none'", **_HEADERS}
        self.reply(status, f"{kind}; charset=utf-8", text, headers)


def serve(make: Callable[[float], str], port: int, *, show: bool) -> None:
    """Serve until Ctrl-C. Raises AgentError where the port is taken, or the page cannot be made."""
    with Server(make, port) as live:
        live.page()  # what cannot be made fails here and not in the browser
        err(f"the report is at {live.address} until Ctrl-C; for this machine and whoever has this address")
        if show:
            webbrowser.open(live.address)
        try:
            live.serve_forever()
        except KeyboardInterrupt:
            err("stopped")
