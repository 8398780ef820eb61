"""The route, the endpoint and the user of a request, where a framework that we know has put them into it.

Werkzeug (Flask, Odoo, Tryton), Starlette and FastAPI, Pyramid, aiohttp, Tornado, Bottle, Litestar, Quart, Falcon. All
is read as it lies in memory: properties and proxies would load a session or a user, or mark a session as used, which
changes the response.
"""

from __future__ import annotations

import re
import sys
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...base.slots import ancestors_of, traceback_of
from ...observe.around import people
from ...observe.event.represent import class_attribute, instance_dict, type_name
from . import outermost
from .views import path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .serving import Serving

_LONGEST_CALL = 120  # a client may send anything


class Known:
    """What a framework shows of a request."""

    __slots__ = ("captured", "endpoint", "is_call", "route")

    def __init__(self, route: str = "", endpoint: str = "", captured: object = None, *, is_call: bool = False) -> None:
        self.route = route  # with names in place of values: `/orders/<int:number>`
        self.is_call = is_call  # of a remote procedure, whose name the route is: `model.sale.sale.quote`
        self.endpoint = endpoint  # dotted
        self.captured = captured  # the values of the route's parameters by name: they do not leave


def of(serving: Serving) -> Known:
    known: Known | None = serving.known
    if known is None:
        known = _found(serving)
        if known.route:
            serving.known = known
    return known


def remember(serving: Serving, error: BaseException) -> None:
    """Find the route while the framework has it: it has written this exception's traceback, and the request goes on."""
    if not serving.contexts:
        serving.contexts = flask_contexts("quart.globals") or _falcons(error)
    if not of(serving).route:
        outermost.of(serving, error)


def _falcons(error: BaseException) -> tuple[Any, ...]:
    """Falcon's request, from the frames that an exception has passed."""
    traceback = traceback_of(error)
    while traceback is not None:
        request = traceback.tb_frame.f_locals.get("req")
        if class_attribute(request, "uri_template") is not None:
            return (request,)
        traceback = traceback.tb_next
    return ()


def _found(serving: Serving) -> Known:
    request = serving.request
    if not issubclass(type(request), dict):
        return _tornado(serving) if "tornado.web" in sys.modules and serving.contexts else _aiohttp(request)
    if serving.contexts and class_attribute(serving.contexts[0], "uri_template") is not None:
        return Known(_text(serving.contexts[0].uri_template))
    kept = [instance_dict(each) or {} for each in serving.contexts]
    if kept:
        return _pyramid(kept[0]) if "matched_route" in kept[0] else _flask(kept)
    if "werkzeug.request" in request:
        held = instance_dict(request["werkzeug.request"]) or {}
        return _werkzeug(held) if "url_rule" in held or "rule" in held else _tryton(held, request)
    if "bottle.route" in request:
        route = instance_dict(request["bottle.route"]) or {}
        return Known(_text(route.get("rule")), path_of(route.get("callback")), request.get("route.url_args"))
    if "ombott.route" in request:  # of py4web, too
        matched = request["ombott.route"]
        rule = getattr(getattr(matched, "route", None), "rule", "")
        return Known(_text(rule), path_of(getattr(matched, "handler", None)), request.get("route.url_args"))
    if "path_template" in request:  # of Litestar
        handler = instance_dict(request.get("route_handler")) or {}
        return Known(
            _text(request["path_template"]), path_of(handler.get("_fn", handler.get("fn"))), request.get("path_params")
        )
    return _starlette(request) if "endpoint" in request else Known()


def user(serving: Serving) -> Mapping[str, object]:
    request = serving.request
    if not issubclass(type(request), dict):
        return {}
    if "REQUEST_METHOD" not in request:
        return people.facts_of(request.get("user"))
    facts = _flask_login(serving) if "flask_login" in sys.modules else {}
    if facts:
        return facts
    # As the server, or a middleware that authenticates, has set it.
    name = request.get("REMOTE_USER")
    return {"id": name} if type(name) is str and name else {}


def published(found: Any) -> Known:
    """What Zope has found at a path: a view, or a method of one; never a document's own name."""
    method = ""
    if type(found) is MethodType:
        found, method = found.__self__, found.__func__.__name__
    kind = found.__class__  # of what is wrapped for acquisition, too
    if kind is type:
        kind = found
    known = _published.get(id(kind))
    if known is None or known[0]() is not kind:
        if len(_published) >= _MOST_RULES:
            _published.clear()
        known = _published[id(kind)] = ref(kind), *_class_of(kind)
    _, route, endpoint = known
    return Known(route, f"{endpoint}.{method}" if endpoint and method not in ("", "__call__") else endpoint)


def _class_of(kind: type) -> tuple[str, str]:
    """The name that a class made of a page template is registered by, and the dotted path of the class in the source.

    Classes of views are made when the site starts, of a class in the source, whose name they have.
    """
    bases = ancestors_of(kind)
    for base in bases:
        path = type_name(base)
        name = path.rpartition(".")[2]
        module = getattr(sys.modules.get(path[: -len(name) - 1]), "__dict__", {})
        if name == bases[0].__name__ and module.get(name) is base:
            return "", path
    registered = kind.__dict__.get("__name__")
    return (f"@@{registered}", "") if type(registered) is str else ("", type_name(kind))


#: Classes of what Zope has published, by their address: (a reference to it, its route, its endpoint).
_published: dict[int, tuple[ref[type], str, str]] = {}


def _text(value: object) -> str:
    return value if type(value) is str else ""


def _werkzeug(held: dict[str, object]) -> Known:
    rule = instance_dict(held.get("url_rule", held.get("rule"))) or {}
    endpoint = rule.get("endpoint")
    return Known(_text(rule.get("rule")), path_of(endpoint) if callable(endpoint) else "", held.get("view_args"))


def _tryton(held: dict[str, object], environ: dict[str, Any]) -> Known:
    """It keeps no rule, but what the rule has captured, and what is called."""
    captured = held.get("view_args")
    if type(captured) is not dict:
        return Known()  # no rule matches, or none is asked for yet
    method, _ = _call(held)
    if method:
        return Known(method, "", captured, is_call=True)
    path = _text(environ.get("PATH_INFO")) + "/"
    for name, value in captured.items():
        named = path.replace(f"/{value}/", f"/<{name}>/")
        if named == path:
            return Known()  # a converter has made the value
        path = named
    return Known(path[:-1], "", captured)


def _call(held: dict[str, object]) -> tuple[str, Any]:
    """The method that a request of JSON-RPC or XML-RPC calls, and its parameters, once the body has been parsed."""
    body: Any = held.get("parsed_data")
    if type(body) is dict:
        body = (body.get("params"), body.get("method"))
    if type(body) is not tuple or len(body) != 2:
        return "", None
    method = _text(body[1])
    return (method if method.replace(".", "_").isidentifier() and len(method) <= _LONGEST_CALL else ""), body[0]


def trytons(serving: Serving | None) -> tuple[str, int, int]:
    """The database, company and user of a request of Tryton; each "" or 0 where it is not known."""
    environ = serving.request if serving is not None else None
    held = instance_dict(environ.get("werkzeug.request") if type(environ) is dict else None) or {}
    captured: Any = held.get("view_args")
    if type(captured) is not dict:
        return "", 0, 0
    parameters = _call(held)[1]
    context = parameters[-1] if type(parameters) in (list, tuple) and parameters else None  # of the call
    company = context.get("company") if type(context) is dict else None
    return _text(captured.get("database_name")), number(company), number(held.get("user_id"))


def number(value: object) -> int:
    return value if type(value) is int else 0


def _flask(contexts: list[dict[str, object]]) -> Known:
    for context in contexts:
        held = instance_dict(context.get("request", context.get("_request", context.get("request_websocket")))) or {}
        matched = held.get("url_rule")
        known = _rules.get(id(matched))
        if known is None or known[0] is not matched:
            rule = instance_dict(matched)
            if rule is None:
                continue
            views = (instance_dict(context.get("app")) or {}).get("view_functions")
            view = views.get(rule.get("endpoint")) if type(views) is dict else None
            if len(_rules) >= _MOST_RULES:
                _rules.clear()
            known = _rules[id(matched)] = matched, _text(rule.get("rule")), path_of(view)
        return Known(known[1], known[2], held.get("view_args"))
    return Known()


#: Werkzeug's rules that requests have matched, by their address: (the rule, its route, its endpoint).
_rules: dict[int, tuple[object, str, str]] = {}
_MOST_RULES = 2_000


def flask_contexts(module: str = "flask.globals") -> tuple[Any, ...]:
    """The request's context and the application's, which are one from Flask 3.2 on; or Quart's."""
    names = getattr(sys.modules.get(module), "__dict__", {})
    return tuple([names[name].get(None) for name in ("_cv_request", "_cv_app") if name in names])


def _flask_login(serving: Serving) -> Mapping[str, object]:
    identity: object = None
    for each in serving.contexts:
        held = instance_dict(each) or {}
        facts = people.facts_of((instance_dict(held.get("g")) or {}).get("_login_user"))
        if facts:
            return facts
        session = held.get("_session", held.get("session"))
        if identity is None and isinstance(session, dict):
            identity = dict.get(session, "_user_id")  # Flask's own `get` marks it as used, which changes the response
    return {"id": identity} if type(identity) in (str, int) else {}


def _pyramid(held: dict[str, object]) -> Known:
    route = instance_dict(held["matched_route"]) or {}
    return Known(_text(route.get("pattern")), "", held.get("matchdict"))


def _aiohttp(request: object) -> Known:
    match = (instance_dict(request) or {}).get("_match_info")
    route = getattr(match, "_route", None)  # a slot
    held = instance_dict(route) or {}
    captured = dict(match) if isinstance(match, dict) else None
    return Known(_text(getattr(held.get("_resource"), "canonical", "")), path_of(held.get("_handler")), captured)


def _tornado(serving: Serving) -> Known:
    """The pattern of the rule that leads to the request's handler, among those of its application."""
    handler = serving.contexts[0]
    own, path = instance_dict(handler) or {}, (instance_dict(serving.request) or {}).get("path")
    router = (instance_dict(own.get("application")) or {}).get("wildcard_router")
    rules = (instance_dict(router) or {}).get("rules")
    for rule in rules if type(rules) is list else ():
        held = instance_dict(rule) or {}
        regex = (instance_dict(held.get("matcher")) or {}).get("regex")
        if held.get("target") is type(handler) and isinstance(regex, re.Pattern) and regex.match(_text(path)):
            return Known(regex.pattern.rstrip("$"), type_name(type(handler)), own.get("path_kwargs"))
    return Known("", type_name(type(handler)))


def _starlette(scope: dict[str, Any]) -> Known:
    endpoint, captured = scope["endpoint"], scope.get("path_params")
    path = (instance_dict(scope.get("route")) or {}).get("path")
    if type(path) is not str:  # an older Starlette has only the endpoint there
        path = ""
        routes = (instance_dict(scope.get("router")) or {}).get("routes")
        for route in routes if type(routes) is list else ():
            held = instance_dict(route) or {}
            if held.get("endpoint") is endpoint:
                path = _text(held.get("path"))
    return Known(_mounted(scope, captured) + path, path_of(endpoint), captured)


def _mounted(scope: dict[str, Any], captured: object) -> str:
    """Where the application that serves it is mounted, with the names of what that path has captured."""
    root, outer = _text(scope.get("root_path")), _text(scope.get("app_root_path"))
    if not outer and "app_root_path" not in scope:
        return ""
    parts = root[len(outer) :].split("/") if root.startswith(outer) else []
    names = {str(value): name for name, value in captured.items()} if type(captured) is dict else {}
    return "/".join([f"{{{names[part]}}}" if part in names else part for part in parts])
