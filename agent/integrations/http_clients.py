"""Puts the headers of the current trace on requests of HTTP clients, where their headers are about to be written.

`http.client` carries urllib, urllib3, requests and botocore; httpcore carries httpx; aiohttp has its own. By then the
headers that the host passed in have been copied, so that nothing of the host's is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hook.code import wrap
from ..traces import propagation

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from ..boot.engine import Engine
    from ..hook.code import patch

    Headers = Callable[[Callable[[str], str], Callable[[], str]], dict[str, str]]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def install(name: str, module: ModuleType, _engine: Engine) -> list[patch.Layer]:
    """Called when the module `name` of a client has been imported."""
    return INSTALL[name](module, propagation.headers)


# -------------------------------------------------------------------------------------------------------- http.client


def http_client(module: ModuleType, headers_of: Headers) -> list[patch.Layer]:
    def ends(connection: Any) -> None:
        lines = connection._buffer  # the request line, then one line for each header
        if type(lines) is not list or not lines or type(lines[0]) is not bytes:
            return
        there = _Lines(lines)
        for header, value in headers_of(there.get, lambda: address(connection, lines[0])).items():
            there.set(header, value)

    return [wrap.surround(module.HTTPConnection.__dict__["endheaders"], wrap.guarded(ends), passed=("self",))]


class _Lines:
    """The header lines of a request."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._at: dict[bytes, list[int]] = {}
        for number in range(1, len(lines)):
            self._at.setdefault(lines[number].partition(b":")[0].strip().lower(), []).append(number)

    def get(self, name: str) -> str:
        values = [self._lines[number].partition(b":")[2].strip() for number in self._at.get(name.encode(), ())]
        return b",".join(values).decode("latin-1")

    def set(self, name: str, value: str) -> None:
        """In place of all that are there."""
        line = f"{name}: {value}".encode("latin-1")
        first, *others = self._at.get(name.encode(), [len(self._lines)])
        if not self._is_signed(name):
            self._lines[first : first + 1] = [line]
            for number in reversed(others):
                del self._lines[number]

    def _is_signed(self, name: str) -> bool:
        """Whether a signature of AWS covers this header: with another value, the request would be refused."""
        signed = self.get("authorization") + self._lines[0].decode("latin-1")
        return "SignedHeaders" in signed and name in signed.lower()


def address(connection: Any, request: bytes) -> str:
    """The URL that the request is for, also through a proxy."""
    target = request.split(b" ")[1].decode("latin-1")
    if target.startswith(("http://", "https://")):
        return target
    default = connection.default_port
    host, port = connection.host, connection.port
    if connection._tunnel_host:
        host, port = connection._tunnel_host, connection._tunnel_port
    scheme = "https" if default == 443 else "http"
    return _url(scheme, host, port, target)


def _url(scheme: str, host: str, port: int | None, target: str) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{f':{port}' if port and port != _DEFAULT_PORTS.get(scheme) else ''}{target}"


# ----------------------------------------------------------------------------------------------------------- httpcore


def httpcore(module: ModuleType, headers_of: Headers) -> list[patch.Layer]:
    """A pool, with or without `async`. A request of the host's own has its headers back when it has been sent."""

    def begins(request: Any) -> tuple[Any, Any] | None:
        given = request.headers
        names = [name.lower() for name, _ in given]

        def present(name: str) -> str:
            wanted = name.encode()
            return ",".join([given[at][1].decode("latin-1") for at, each in enumerate(names) if each == wanted])

        found = headers_of(present, lambda: _httpcore_url(request.url))
        if not found:
            return None
        added = [(name.encode(), value.encode("latin-1")) for name, value in found.items()]
        replaced = [name for name, _ in added]
        request.headers = [pair for pair, name in zip(given, names) if name not in replaced] + added
        return request, given

    def ended(begun: tuple[Any, Any] | None, _: bool) -> None:
        if begun is not None:
            request, given = begun
            request.headers = given

    for pool, method in (("ConnectionPool", "handle_request"), ("AsyncConnectionPool", "handle_async_request")):
        cls = module.__dict__.get(pool)
        if cls is not None and method in cls.__dict__:
            return [wrap.surround(cls.__dict__[method], wrap.guarded(begins), ended, passed=("request",))]
    return []  # before 0.14


def _httpcore_url(url: Any) -> str:
    scheme, host, target = [part.decode("latin-1") for part in (url.scheme, url.host, url.target)]
    return _url(scheme, host, url.port, target)


# ------------------------------------------------------------------------------------------------------------ aiohttp


def aiohttp(module: ModuleType, headers_of: Headers) -> list[patch.Layer]:
    """The request is the client's own, made of copies of the session's headers and the call's."""

    def begins(request: Any) -> None:
        headers = request.headers
        found = headers_of(lambda name: ",".join(headers.getall(name, ())), lambda: str(request.url))
        for name, value in found.items():
            headers[name] = value

    cls = module.ClientRequest
    send = cls.__dict__.get("send") or cls.__dict__.get("_send")
    return [wrap.surround(send, wrap.guarded(begins), passed=("self",))] if send is not None else []


INSTALL: dict[str, Callable[[Any, Headers], list[patch.Layer]]] = {
    "http.client": http_client,
    "httpcore._sync.connection_pool": httpcore,
    "httpcore._async.connection_pool": httpcore,
    "aiohttp.client_reqrep": aiohttp,
}
