"""Connections for which a whole request has one deadline.

A socket's timeout starts again with each piece that arrives: a server that sends its response byte by byte, or reads a
request that slowly, would block the delivery for hours. (`ssl` bounds TLS handshakes as a whole.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base import clocks
from ...base.interrupts import ours
from . import descriptors


class Deadline:
    def __init__(self) -> None:
        self._until = 0.0

    def set(self, seconds: float) -> None:
        self._until = clocks.monotonic() + seconds

    def cap(self, timeout: float | None) -> float:
        """Return what is left of a socket's timeout. Raises TimeoutError if nothing is."""
        left = self._until - clocks.monotonic()
        if left <= 0:
            raise TimeoutError("the whole request took too long")
        return left if timeout is None else min(timeout, left)


def bounded(deadline: Deadline, urllib3: Any, pools: Mapping[str, Any], plain: Any) -> dict[str, Any]:
    """Return urllib3's `pools` (by scheme) with connections that observe the deadline.

    `plain` is the class of their sockets, from `descriptors`; None for Python's own.
    """
    import io
    import socket
    import sys
    from http.client import HTTPResponse

    class Reader(socket.SocketIO):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock, "r")
            self._socket = sock
            self._timeout = sock.gettimeout()

        def readinto(self, buffer: Any) -> int | None:
            self._socket.settimeout(deadline.cap(self._timeout))
            return super().readinto(buffer)

    class Source:
        """What HTTPResponse needs of a socket."""

        def __init__(self, sock: Any) -> None:
            self._socket = sock

        def makefile(self, mode: str, *arguments: Any) -> Any:
            if not isinstance(self._socket, socket.socket):
                return self._socket.makefile(mode, *arguments)  # TLS within TLS, to an HTTPS proxy
            self._socket._io_refs += 1  # type: ignore[attr-defined]  # as socket.makefile does
            return io.BufferedReader(Reader(self._socket))

    class Response(HTTPResponse):
        def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
            super().__init__(Source(sock), *arguments, **options)  # type: ignore[arg-type]

    class Bounded:
        response_class = Response
        sock: Any

        def _new_conn(self) -> Any:
            if plain is None:
                return super()._new_conn()  # type: ignore[misc]
            if hasattr(self, "_socks_options"):
                return descriptors.adopted(plain, super()._new_conn())  # type: ignore[misc]
            host, port = self._dns_host, self.port  # type: ignore[attr-defined]
            try:
                made = descriptors.connect(plain, (host, port), self.timeout, self.socket_options)  # type: ignore[attr-defined]
            except ours(TimeoutError, socket.timeout) as error:
                raise urllib3.exceptions.ConnectTimeoutError(self, f"Connection to {host} timed out") from error
            except ours(OSError, UnicodeError) as error:
                text = f"Failed to establish a new connection: {error}"
                raise urllib3.exceptions.NewConnectionError(self, text) from error
            sys.audit("http.client.connect", self, host, port)
            return made

        def send(self, data: Any) -> Any:
            if self.sock is not None:
                self.sock.settimeout(deadline.cap(self.sock.gettimeout()))
            return super().send(data)  # type: ignore[misc]

    def pool_class(pool: Any) -> Any:
        connection = type("Connection", (Bounded, pool.ConnectionCls), {})
        return type("Pool", (pool,), {"ConnectionCls": connection})

    return {scheme: pool_class(pool) for scheme, pool in pools.items()}
