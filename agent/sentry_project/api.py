"""Requests to Sentry's API: paging, rate limits, timeouts, and each failure as a sentence.

The token is sent to one host and nowhere else: redirects are not followed, and no message contains it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from ..base.errors import AgentError
from ..base.version import __version__
from ..deliver.http.transport import UnusableProxyError, web_pool

_CONNECT, _READ = 5.0, 30.0  # seconds
_TRIES = 4
_LONGEST_WAIT = 120.0  # seconds; Sentry's windows are shorter
_FIRST_PAUSE = 0.5  # seconds, twice as long each time
_PASSING = frozenset((408, 500, 502, 503, 504, 520, 522, 524))
_PER_PAGE = 100
MOST_BYTES = 50_000_000  # of one response
_MOST_DETAIL = 400  # characters
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_IN_PATHS = "-_.~"


class ApiError(AgentError):
    """Sentry refused a request, or none was possible."""

    def __init__(self, text: str, status: int = 0, detail: str = "") -> None:
        super().__init__(text)
        self.status = status  # of HTTP; 0: there was no response
        self.detail = detail


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body.strip() else None


class Api:
    """One Sentry, as its address and a token open it."""

    def __init__(
        self,
        url: str,
        token: str,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            raise ApiError(f"{url} is no address of Sentry; write sentry.project.url as https://HOST")
        try:
            self.pool = web_pool(parts.scheme, parts.hostname, port, _CONNECT, _READ)
        except ImportError:
            raise ApiError("this command needs urllib3: python -m pip install urllib3") from None
        except UnusableProxyError as error:
            raise ApiError(f"no request can be sent to {url}: {error}") from None
        self.url = url
        self._token = token
        self._sleep = sleep
        self._clock = clock
        self._not_before = 0.0

    def get(self, path: str, **query: object) -> Any:
        return self._send("GET", _with(path, query)).json()

    def found(self, path: str, **query: object) -> Any:
        """`get`, or None where there is nothing: 404."""
        try:
            return self.get(path, **query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, **query: object) -> Iterator[Any]:
        """Every item of a list, page by page."""
        cursor = None
        while True:
            more = {"per_page": _PER_PAGE, **query, **({"cursor": cursor} if cursor else {})}
            response = self._send("GET", _with(path, more))
            items = response.json()
            if not isinstance(items, list):
                raise ApiError(f"{self.url}{path} does not return a list; is this Sentry's address?")
            yield from items
            following = next_cursor(response.headers.get("Link") or "")
            if following is None or following == cursor:
                return
            cursor = following

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._send(method, path, body).json()

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Response:
        """Raises ApiError. What changes nothing, or the same thing again, is tried again where Sentry fails."""
        pause = _FIRST_PAUSE
        for left in reversed(range(_TRIES)):
            self._wait()
            try:
                response = self._once(method, path, body)
            except ApiError as error:
                if not left or method == "POST" or error.status:
                    raise
                self._sleep(pause)
                pause *= 2
                continue
            self._note_limits(response)
            if response.status == 429 and left:
                continue
            if response.status in _PASSING and left and method != "POST":
                self._sleep(pause)
                pause *= 2
                continue
            if not 200 <= response.status < 300:
                raise self._refused(method, path, response)
            return response
        raise AssertionError  # the last try returns or raises

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "User-Agent": f"erp-sentry-agent/{__version__}",
        }
        data = None
        if body is not None:
            data = json.dumps(body).encode("ascii")
            headers["Content-Type"] = "application/json"
        try:
            raw = self.pool.request(
                method,
                f"{self.url}/api/0{path}",
                body=data,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            held = raw.read(MOST_BYTES + 1, decode_content=True)
            raw.release_conn()
        except Exception as error:
            what = " ".join(str(error).split()).replace(self._token, "[token]")[:200]
            raise ApiError(
                f"Sentry at {self.url} cannot be reached: {type(error).__name__}: {what}; check sentry.project.url, "
                "firewall and proxy (HTTPS_PROXY), or see: python -m agent doctor"
            ) from None
        if len(held) > MOST_BYTES:
            raise ApiError(f"{self.url}{path} returns too much for Sentry; is this Sentry's address?", 1)
        return Response(raw.status, raw.headers, held)

    # ------------------------------------------------------------------------------------------------------ rate limits

    def _note_limits(self, response: Response) -> None:
        """Wait until the window is over where Sentry demands it, or where nothing is left of it."""
        now = self._clock()
        headers = response.headers
        reset = _number(headers.get("X-Sentry-Rate-Limit-Reset"))
        remaining = _number(headers.get("X-Sentry-Rate-Limit-Remaining"))
        if response.status == 429:
            after = _number(headers.get("Retry-After"))
            wait = after if after is not None else reset - now if reset is not None else 1.0
            self._not_before = now + min(max(wait, 0.1), _LONGEST_WAIT)
        elif remaining == 0 and reset is not None:
            self._not_before = now + min(max(reset - now, 0.0), _LONGEST_WAIT)

    def _wait(self) -> None:
        seconds = self._not_before - self._clock()
        if seconds > 0:
            self._sleep(seconds)
        self._not_before = 0.0

    # --------------------------------------------------------------------------------------------------------- failures

    def _refused(self, method: str, path: str, response: Response) -> ApiError:
        status = response.status
        detail = _detail(response).replace(self._token, "[token]")
        why = f" ({detail})" if detail else ""
        if 300 <= status < 400:
            place = (response.headers.get("Location") or "elsewhere").partition("?")[0]
            text = f"{self.url} sends requests on to {place}; write the address of Sentry itself in sentry.project.url"
        elif status == 401:
            text = (
                f"Sentry at {self.url} does not accept the token in SENTRY_AUTH_TOKEN{why}; is it of this Sentry, "
                "and not revoked?"
            )
        elif status == 403:
            text = (
                f"the token in SENTRY_AUTH_TOKEN may not do this: {method} {path}{why}; docs/sentry.md lists the "
                "scopes that it needs"
            )
        elif status == 404:
            text = f"{self.url} has no {path}{why}"
        elif status == 429:
            text = f"Sentry's rate limit does not end: {method} {path}; try again in some minutes"
        elif status in _PASSING:
            text = f"Sentry fails: {method} {path}: HTTP {status}{why}; try again later, which goes on from here"
        else:
            text = f"Sentry refuses {method} {path}: HTTP {status}{why}"
        return ApiError(text, status, detail)


def path(*parts: object) -> str:
    """`/organizations/norrland/teams/`"""
    return "/" + "".join(quote(str(part), safe=_IN_PATHS) + "/" for part in parts)


def _with(path_: str, query: Mapping[str, object]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path_}?{urlencode(given)}" if given else path_


def next_cursor(link: str) -> str | None:
    """The cursor of the next page; None on the last one. `<…>; rel="next"; results="true"; cursor="0:100:0"`"""
    for _, attributes in _LINK.findall(link):
        found = dict(re.findall(r'(\w+)="([^"]*)"', attributes))
        if found.get("rel") == "next":
            return found.get("cursor") or None if found.get("results") == "true" else None
    return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _detail(response: Response) -> str:
    try:
        held = response.json()
    except ValueError:
        return ""
    if isinstance(held, dict):
        held = held.get("detail", held)
        held = held.get("message", held) if isinstance(held, dict) else held
    text = held if isinstance(held, str) else json.dumps(held)
    return " ".join(text.split())[:_MOST_DETAIL] if held else ""
