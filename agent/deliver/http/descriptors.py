"""Descriptors that stay open from one call to the next, and are checked before they are used or closed.

A host that becomes a daemon closes all descriptors, ours among them, and reuses their numbers for files of its own. Our
next write would land there, and our `close` would close the host's file. So what stays open (the lock of the process
that delivers, the connection to Sentry) records which file it is, and is dropped where the number is another file's.
"""

import os
from typing import Any

from ...base.interrupts import ours
from ...base.records import Record


class Descriptor(Record):
    """An open descriptor of ours, with the device and inode of its file."""

    number: int
    file: tuple[int, int]

    def is_ours(self) -> bool:
        """Return whether the number still belongs to that file."""
        try:
            return _file(self.number) == self.file
        except ours(OSError):
            return False

    def close(self) -> None:
        if self.is_ours():
            os.close(self.number)


def describe(number: int) -> "Descriptor":
    """Raises OSError."""
    return Descriptor(number, _file(number))


def _file(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


class LostError(ConnectionError):
    """The host has closed our connection; its number may be another file's by now."""


def sockets() -> "tuple[Any, Any] | None":
    """Return classes of sockets, without and with TLS, that check their descriptor before they use or close it.

    None where the host has replaced Python's sockets (gevent, eventlet).
    """
    import socket
    import ssl

    if socket.socket.__module__ != "socket" or ssl.SSLSocket.__module__ != "ssl":
        return None

    class Socket(socket.socket):
        _descriptor: "Descriptor | None" = None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._descriptor = describe(self.fileno())

        def check(self) -> None:
            if self._descriptor is not None and not self._descriptor.is_ours():
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
            if self._descriptor is None or self._descriptor.is_ours():
                super()._real_close(*arguments)  # type: ignore[misc]
            else:
                self.detach()

    class Tls(ssl.SSLSocket, Socket):
        """Made by `ssl` over the descriptor of a Socket. Its own methods run after the checks here."""

        def send(self, *arguments: Any) -> int:
            self.check()
            return super().send(*arguments)

        def recv_into(self, *arguments: Any) -> int:
            self.check()
            return super().recv_into(*arguments)

    return Socket, Tls


def adopted(make: Any, connected: Any) -> Any:
    """Return a socket of the class `make` that takes over a connected one, as of a SOCKS proxy."""
    timeout = connected.gettimeout()
    own = make(connected.family, connected.type, connected.proto, connected.detach())
    own.settimeout(timeout)
    return own


def connect(make: Any, address: tuple[str, int], timeout: Any, options: Any) -> Any:
    """Return a connected socket of the class `make`, as urllib3 connects one. Raises OSError."""
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
        del failed  # its traceback refers to this frame
