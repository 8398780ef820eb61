"""Descriptors that stay open from one call to the next, and are known again before they are used or closed.

A host that becomes a daemon closes all descriptors, ours among them, and their numbers come back as files of its own.
What we then wrote would land there, and our `close` would close the host's file. So what stays open, the lock of
whoever delivers and the connection to Sentry, notes which file it is, and is let go of where the number is another's.
"""

import os
from typing import Any, NamedTuple

from ...base.interrupts import ours


class Known(NamedTuple):
    """An open descriptor of ours, and what the system calls the file behind it."""

    number: int
    file: tuple[int, int]

    def is_ours(self) -> bool:
        """Whether the number still stands for that file."""
        try:
            return _file(self.number) == self.file
        except ours(OSError):
            return False

    def close(self) -> None:
        if self.is_ours():
            os.close(self.number)


def known(number: int) -> "Known":
    """Raises OSError."""
    return Known(number, _file(number))


def _file(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


class LostError(ConnectionError):
    """The host has closed our connection; its number may be another's by now."""


def sockets() -> "tuple[Any, Any] | None":
    """Classes of sockets, without and with TLS, that look before they use or close their descriptor.

    None where the host has put sockets of its own in place of Python's (gevent, eventlet).
    """
    import socket
    import ssl

    if socket.socket.__module__ != "socket" or ssl.SSLSocket.__module__ != "ssl":
        return None

    class Socket(socket.socket):
        _known: "Known | None" = None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._known = known(self.fileno())

        def check(self) -> None:
            if self._known is not None and not self._known.is_ours():
                raise LostError("the connection was closed by the host")

        def send(self, *arguments: Any) -> int:
            self.check()
            return super().send(*arguments)

        def sendall(self, *arguments: Any) -> None:
            self.check()
            super().sendall(*arguments)

        def recv_into(self, *arguments: Any) -> int:
            self.check()
            return super().recv_into(*arguments)

        def shutdown(self, how: int) -> None:
            self.check()
            super().shutdown(how)

        def _real_close(self, *arguments: Any) -> None:
            if self._known is None or self._known.is_ours():
                super()._real_close(*arguments)  # type: ignore[misc]
            else:
                self.detach()

    class Tls(ssl.SSLSocket, Socket):
        """Made by `ssl` over the descriptor of a Socket: what is above its methods checks, and then they do."""

        def send(self, *arguments: Any) -> int:
            self.check()
            return super().send(*arguments)

        def recv_into(self, *arguments: Any) -> int:
            self.check()
            return super().recv_into(*arguments)

    return Socket, Tls


def adopted(make: Any, connected: Any) -> Any:
    """A socket of the class `make` in place of one that is connected: through a SOCKS proxy, say."""
    timeout = connected.gettimeout()
    mine = make(connected.family, connected.type, connected.proto, connected.detach())
    mine.settimeout(timeout)
    return mine


def connect(make: Any, address: tuple[str, int], timeout: Any, options: Any) -> Any:
    """A connected socket of the class `make`, as urllib3 connects one. Raises OSError."""
    import socket

    failed: OSError = OSError("the host name has no address")
    host = address[0].strip("[]")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, address[1], socket.AF_UNSPEC, socket.SOCK_STREAM):
        made = None
        try:
            made = make(family, kind, protocol)
            for option in options or ():
                made.setsockopt(*option)
            if timeout is None or isinstance(timeout, (int, float)):
                made.settimeout(timeout)
            made.connect(where)
            return made
        except ours(OSError) as error:
            failed = error
            if made is not None:
                made.close()
    try:
        raise failed
    finally:
        del failed  # it would lead back to this frame
