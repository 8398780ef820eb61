"""What events show of a request: method, path, route, names of parameters, status, user. No values, headers or body.

Read from WSGI's environ, ASGI's scope, and what frameworks have put into them; nothing lazy is evaluated.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...observe.around import people, work
from ...observe.event.represent import instance_dict
from ...privacy.redact import SCRUBBED, is_secret
from . import frameworks, outermost, serving

if TYPE_CHECKING:
    from collections.abc import Mapping


SDK = __package__.partition(".")[0] + ".sdk.client"

_MOST_PARAMETERS = 30
LONGEST_QUERY = 4_096


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    now = serving.current()
    if now is None:
        return {}
    request = now.request
    found = frameworks.of(now)
    shown: dict[str, object] = {}
    method, path, query = _method(request), _path(request), _query(request)
    if method:
        shown["method"] = method
    if path:
        shown["path"] = without_secrets(path, found.captured)
    if found.route:
        shown["route"] = found.route
    view = _view(now)
    if view:
        shown["view"] = view
    if query:
        shown["parameters"] = names_in(query)
    status = serving.status(now)
    if status is not None:
        shown["status"] = status
    facts: dict[str, object] = {"request": shown}
    asked = serving.operation()
    if asked:
        shown["operation"] = asked
    place = asked or found.route or view
    if place:
        facts["transaction"] = place
    known = user()
    if known:
        facts["user"] = known
    return facts


def operation(error: BaseException | None = None) -> tuple[str, str]:
    """Return the request as words, such as `GET /orders/<int:number>`, and the dotted path of what serves it.

    `error` is what the request has failed in.
    """
    now = serving.current()
    if now is None:
        return "request", ""
    view = _view(now, error)
    return _route(now) or " ".join(filter(None, [_method(now.request), view or "request"])), view


def _view(now: serving.Serving, error: BaseException | None = None) -> str:
    """The dotted path of what serves it, as far as that is known by now."""
    found = frameworks.of(now)
    return found.endpoint or ("" if found.route else outermost.of(now, error))


def user() -> Mapping[str, object]:
    """Return the id and address of the user, as far as they are known."""
    now = serving.current()
    if now is None:
        return {}
    facts = dict(frameworks.user(now))
    address = _address(now.request)
    if address:
        facts["ip"] = address
    return facts


people.current["web"] = user


def _route(about: Any) -> str:
    found = frameworks.of(about)
    return found.route if found.is_call or not found.route else f"{_method(about.request)} {found.route}"


serving.kind = work.Kind(
    "http.server",
    lambda about, name: header(about.request, name),
    _route,
    method=lambda about: _method(about.request),
)


def header(request: Any, name: str) -> object:
    """The header of this name, in lower case; several are joined by commas. None where it is missing."""
    if not issubclass(type(request), dict):
        held = _headers_of(request)
        return held.get(name) if held is not None else None
    if "REQUEST_METHOD" in request:
        return request.get("HTTP_" + name.upper().replace("-", "_"))
    headers, wanted = request.get("headers"), name.encode()
    pairs = [each for each in headers if type(each) in (list, tuple)] if type(headers) in (list, tuple) else []
    found = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == wanted and type(pair[1]) is bytes]
    return b",".join(found).decode("latin-1") if found else None


def _headers_of(request: Any) -> Any:
    """The headers of aiohttp and Tornado, mappings of their own that ignore the case."""
    held = instance_dict(request) or {}
    return held.get("_headers", held.get("headers"))


def _method(request: Any) -> str:
    if not issubclass(type(request), dict):
        held = instance_dict(request) or {}
        found = held.get("_method", held.get("method"))  # aiohttp's, or Tornado's
    elif request.get("type") == "websocket":
        return "WEBSOCKET"
    else:
        found = request.get("REQUEST_METHOD", request.get("method"))
    return found if type(found) is str and found.isalpha() and len(found) <= 20 else ""  # a client may send anything


def _path(request: Any) -> str:
    if not issubclass(type(request), dict):
        held = instance_dict(request) or {}
        raw = getattr(held.get("_rel_url"), "path", held.get("path"))
        return raw if type(raw) is str else ""
    if "REQUEST_METHOD" in request:
        script, path = request.get("SCRIPT_NAME", ""), request.get("PATH_INFO", "")
        whole = (script if type(script) is str else "") + (path if type(path) is str else "")
        return whole.encode("latin-1", "replace").decode("utf-8", "replace")
    path = request.get("path")
    return path if type(path) is str else ""


def _query(request: Any) -> str:
    if not issubclass(type(request), dict):
        held = instance_dict(request) or {}
        query = getattr(held.get("_rel_url"), "raw_query_string", held.get("query"))
    else:
        query = request.get("QUERY_STRING", request.get("query_string"))
    if type(query) is bytes:
        query = query.decode("latin-1")
    return query[:LONGEST_QUERY] if type(query) is str else ""


def _address(request: Any) -> str:
    if not issubclass(type(request), dict):
        address = (instance_dict(request) or {}).get("remote_ip")
        return address if type(address) is str else ""
    client = request.get("client")
    address = client[0] if type(client) in (tuple, list) and client else request.get("REMOTE_ADDR")
    return address if type(address) is str else ""


def without_secrets(path: str, captured: object) -> str:
    """Return the path without the parts that the route names token, password …"""
    if type(captured) is dict:
        for name, value in captured.items():
            if type(name) is str and type(value) is str and value and is_secret(name):
                path = path.replace(value, SCRUBBED)
    return path


def names_in(query: str) -> list[str]:
    """Return the names of the query's parameters. One without `=` is left out: it may be a value."""
    parse = sys.modules.get("urllib.parse")
    names: list[str] = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        if not equals or not name:
            continue
        if parse is not None:
            name = parse.unquote_plus(name)
        elif "%" in name:
            continue
        name = name[:60]
        if name not in names:
            names.append(name)
        if len(names) >= _MOST_PARAMETERS:
            break
    return names
