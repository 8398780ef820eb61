"""Sends one envelope to Sentry with one POST, and interprets the response.

Used by the delivering thread and the command line only: the first `send` imports `urllib3`, and with it `ssl`;
importing this file does not.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import clocks, guard, imports
from ...base.interrupts import ours
from ...language.dsn import Dsn
from .. import wire
from . import descriptors, unlogged
from .deadline import Deadline, bounded
from .route import Route

CONNECT_TIMEOUT = 3.0  # seconds
READ_TIMEOUT = 10.0  # seconds, for each read of the socket
_CLIENT = "erp-sentry-agent/0.1"
_SNIPPET = 500  # bytes of a response that are kept
_SLOWEST = 16_384.0  # bytes a second that a connection must accept at least, for large envelopes
_COMPRESS_FROM = 1024  # bytes
_DEFAULT_LIMIT = 60.0  # seconds, for a 429 without a limit
_LONGEST_LIMIT = 24 * 3600.0  # seconds; a longer limit is due to a wrong clock

#: Kinds of outcomes.
ACCEPTED = "accepted"
REJECTED = "rejected"  # this envelope will never be accepted
LIMITED = "limited"  # not now, not this category
REFUSED = "refused"  # a wrong setting (DSN, proxy, address): no envelope would be accepted
UNREACHABLE = "unreachable"  # try again

#: Schemes of proxies. `socks` alone is no version of the protocol.
_PROXIES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")
_REFUSED_STATUSES = frozenset((401, 403, 404, 405, 407))
_PASSING_STATUSES = frozenset((408, 425))


class Outcome(NamedTuple):
    kind: str
    status: int = 0
    detail: str = ""
    limits: Mapping[str, float] = {}  # category → seconds from now; "" for all categories
    date: str = ""  # the time of the response, as its header has it


def parse_limits(header: str) -> dict[str, float]:
    """Return `X-Sentry-Rate-Limits` as category → seconds. Invalid parts are ignored."""
    limits: dict[str, float] = {}
    for part in header.split(","):
        fields = part.strip().split(":")
        seconds = _seconds(fields[0])
        if seconds is None or len(fields) < 2:
            continue
        namespaces = fields[4].split(";") if len(fields) > 4 and fields[4] else []
        for category in fields[1].split(";"):
            name = category.strip()
            if name == "metric_bucket" and namespaces and "custom" not in namespaces:
                continue  # limits metrics of a kind that applications do not send
            limits[name] = max(limits.get(name, 0.0), seconds)
    return limits


def _seconds(text: str) -> "float | None":
    try:
        seconds = float(text)
    except ours(ValueError):
        return None
    return min(seconds, _LONGEST_LIMIT) if seconds >= 0 else None


def _retry_after(value: str) -> float:
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    from email.utils import parsedate_to_datetime

    try:
        return min(max(parsedate_to_datetime(value).timestamp() - clocks.time(), 0.0), _LONGEST_LIMIT)
    except ours(TypeError, ValueError, OverflowError):
        return _DEFAULT_LIMIT


class UnusableProxyError(ValueError):
    """No envelope can be sent through this proxy until a person changes it or installs what it needs."""


class Transport:
    """One connection to Sentry. A forked child opens its own."""

    def __init__(
        self,
        dsn: "Dsn",
        *,
        route: "Route | None" = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """`route` is for envelopes of the host's own clients."""
        self.dsn = dsn
        self._route = route or Route("")
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._deadline = Deadline()
        self.pool: Any = None
        self._pid = 0

    @unlogged.sending()
    def send(self, data: bytes) -> "Outcome":
        """Send an envelope. Never raises: a failure on the way is an UNREACHABLE with its reason."""
        try:
            pool = self._open()
        except ours(ImportError) as error:
            return Outcome(UNREACHABLE, detail=f"urllib3 cannot be imported ({error}); install it beside the agent")
        except ours(UnusableProxyError) as error:
            return Outcome(REFUSED, detail=str(error))
        except ours(Exception) as error:
            return Outcome(UNREACHABLE, detail=f"no connection can be set up: {_describe(error)}")
        try:
            return self._post(pool, data)
        except ours(Exception) as error:
            return Outcome(UNREACHABLE, detail=_describe(error))

    def close(self) -> None:
        """Close the connection; the next `send` opens another."""
        pool, self.pool = self.pool, None
        if pool is not None and self._pid == os.getpid():
            try:
                pool.clear()
            except ours(Exception):
                guard.swallow("closing the connection to Sentry")

    def _open(self) -> Any:
        if self.pool is None or self._pid != os.getpid():
            with imports.Guarded(), imports.Lent():
                # all that a delivery imports; `encodings.idna` is for the first look-up of a host name
                import email.utils  # noqa: F401
                import encodings.idna  # noqa: F401
                import json  # noqa: F401
                import zlib  # noqa: F401

                import urllib3

                unlogged.follow()
                plain, tls = descriptors.sockets() or (None, None)
                pool = _pool(self.dsn, self._route, tls)
                pool.pool_classes_by_scheme = bounded(self._deadline, urllib3, pool.pool_classes_by_scheme, plain)
                self.pool = pool
            self._pid = os.getpid()
        return self.pool

    def _post(self, pool: Any, data: bytes) -> "Outcome":
        import urllib3

        body = wire.with_sent_at(data, clocks.time())
        client = self._route.client or _CLIENT
        secret = f", sentry_secret={self._route.secret}" if self._route.secret else ""
        key = self.dsn.public_key
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "User-Agent": client,
            "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client={client}, sentry_key={key}{secret}",
        }
        if len(body) >= _COMPRESS_FROM:
            import zlib

            packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with the gzip header
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        self._deadline.set(self._connect_timeout + self._read_timeout + len(body) / _SLOWEST)
        response = pool.request(
            "POST",
            self.dsn.envelope_url,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=self._connect_timeout, read=self._read_timeout),
        )
        outcome = _outcome(response.status, response.headers, self._beginning(response))
        return outcome._replace(date=response.headers.get("Date") or "")

    def _beginning(self, response: Any) -> str:
        """Return the beginning of the body. If there is more, close the connection instead of reading on."""
        body = b""
        whole = False
        try:
            body = response.read(_SNIPPET, decode_content=True)
            whole = len(body) < _SNIPPET
        except ours(Exception) as error:
            # The status is known, and that decides; the body only explains it.
            body = f"[{type(error).__name__}]".encode()
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()
        return body.decode("utf-8", "replace").strip()


def _outcome(status: int, headers: Mapping[str, str], body: str) -> "Outcome":
    limits = parse_limits(headers.get("X-Sentry-Rate-Limits") or "")
    detail = f"HTTP {status}" + (f": {body}" if body else "")
    if 200 <= status < 300:
        return Outcome(ACCEPTED, status, detail, limits)
    if status == 429:
        return Outcome(LIMITED, status, detail, limits or {"": _retry_after(headers.get("Retry-After") or "")})
    if status in _REFUSED_STATUSES or 300 <= status < 400:
        return Outcome(REFUSED, status, detail, limits)
    if 400 <= status < 500 and status not in _PASSING_STATUSES:
        return Outcome(REJECTED, status, detail, limits)
    return Outcome(UNREACHABLE, status, detail, limits)


def proxy_of(dsn: "Dsn", route: Route) -> "str | None":
    # typeshed does not list the second
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    bypass = bool(proxy_bypass_environment(f"{dsn.host}:{dsn.port}", proxies))
    return route.proxy(dsn.scheme, proxies, bypass=bypass)


def _certificates() -> "str | None":
    """Return the file of certificates; None for the system's own store."""
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if named:
        return named
    try:
        import certifi
    except ours(ImportError):
        return None
    return certifi.where()


def _pool(dsn: Dsn, route: Route, tls: Any) -> Any:
    """Return a pool of urllib3. `tls` is the class of sockets, None for Python's own."""
    import urllib3

    proxy = proxy_of(dsn, route)
    options: dict[str, Any] = {"num_pools": 2, "maxsize": 1}
    if route.socket_options is not None:
        options["socket_options"] = [tuple(each) for each in route.socket_options]
    if dsn.scheme == "https":
        options["cert_reqs"] = "CERT_REQUIRED"
        certificates = route.ca_certs or _certificates()
        if certificates:
            options["ca_certs"] = certificates
        if tls is not None:
            context = options["ssl_context"] = urllib3.util.ssl_.create_urllib3_context(cert_reqs=2)  # CERT_REQUIRED
            context.sslsocket_class = tls
            if not certificates:
                context.load_default_certs()
        if route.cert_file:
            options.update(cert_file=route.cert_file, key_file=route.key_file)
    if not proxy:
        return urllib3.PoolManager(**options)
    scheme, credentials = _scheme_and_credentials(proxy)
    if scheme.startswith("socks"):
        from urllib.parse import unquote

        from urllib3.contrib.socks import SOCKSProxyManager

        name, _, password = (credentials or "").partition(":")
        if credentials:  # urllib3 decodes them from 2.7 on only
            options.update(username=unquote(name), password=unquote(password))
        return SOCKSProxyManager(proxy, **options)
    proxy_headers = dict(route.proxy_headers or {})
    if credentials and not route.proxy_headers:
        from urllib.parse import unquote

        proxy_headers = urllib3.make_headers(proxy_basic_auth=unquote(credentials))
    if proxy_headers:
        options["proxy_headers"] = proxy_headers
    return urllib3.ProxyManager(proxy, **options)


def web_pool(scheme: str, host: str, port: int, connect_timeout: float, read_timeout: float) -> Any:
    """Return a pool of urllib3 for requests of commands, with the proxy and the certificates that envelopes have.

    Raises ImportError without urllib3, and UnusableProxyError.
    """
    import urllib3

    pool = _pool(Dsn(scheme, "", host, port, "", ""), Route(""), None)
    pool.connection_pool_kw["timeout"] = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
    return pool


def _scheme_and_credentials(proxy: str) -> "tuple[str, str | None]":
    """Raises UnusableProxyError, whose text does not contain the address: a password may be in it."""
    import urllib3

    try:
        address = urllib3.util.parse_url(proxy)
    except ours(urllib3.exceptions.LocationParseError):
        address = urllib3.util.Url()
    scheme = address.scheme or ""
    named = "the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
    if not address.host:
        raise UnusableProxyError(f"{named} is no address; write http://HOST:PORT")
    if scheme not in _PROXIES:
        raise UnusableProxyError(f"{named} begins with {scheme[:20]}://, which is none of {', '.join(_PROXIES)}")
    if scheme.startswith("socks"):
        # urllib3 would write a warning to the host's stderr.
        from importlib.util import find_spec

        if find_spec("socks") is None:
            raise UnusableProxyError(
                f"{named} is a SOCKS proxy, which needs PySocks: pip install PySocks, beside urllib3"
            )
    return scheme, address.auth


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
