"""Exceptions that a framework makes a response of, so that no server sees them: where that is, for each framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import wrap
from ...observe.around import work
from ...observe.event.represent import has_attribute
from . import frameworks, servers, serving
from .install import function_of, web_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from ...boot.engine import Engine
    from .install import Web

#: A module of a framework → functions that get an unhandled exception as this parameter, and make a 500 of it.
_UNHANDLED = {"flask.app": (("Flask.handle_exception", "e"),)}
#: Functions that give an exception to the application's own handlers, and return the response, which may be an error.
_HANDLED = {
    "flask.app": (("Flask.handle_user_exception", "e"),),
    "pyramid.view": (("ViewMethodsMixin.invoke_exception_view", "exc_info"),),
    "litestar.exceptions.responses": (("create_exception_response", "exc"),),
    "litestar.middleware.exceptions.middleware": (("create_exception_response", "exc"),),
}


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module `name` of a framework has been imported. Returns the changes, each with its undo."""
    return list(_changes(name, module, web_of(engine)))


def _changes(name: str, module: ModuleType, web: Web) -> Iterator[Any]:
    def unhandled(error: object) -> None:
        if isinstance(error, Exception):
            web.failed(error)

    def handled(response: Any, error: object) -> None:
        if type(error) is tuple and len(error) == 3:
            error = error[1]
        if isinstance(error, Exception) and _status(response) >= 500:
            now = serving.current()
            if now is not None:
                now.handled = error  # Flask may yet make the response that is sent of this one
            web.failed(error, response)

    for path in servers.APPLICATIONS.get(name, ())[:1]:
        function = function_of(module, path)
        if function is not None:
            web.watch_function(function, 1)
    for path, parameter in _UNHANDLED.get(name, ()):
        function = function_of(module, path)
        if function is not None:
            yield wrap.surround(function, wrap.guarded(unhandled), passed=[parameter])
    for path, parameter in _HANDLED.get(name, ()):
        function = function_of(module, path)
        if function is not None:
            yield wrap.watch(function, returned=handled, passed=[parameter])
    if name == "flask.app":
        function = function_of(module, "Flask.full_dispatch_request")
        if function is not None:
            yield wrap.surround(function, wrap.guarded(_keep_flasks_contexts))
        function = function_of(module, "Flask.finalize_request")
        if function is not None:
            yield wrap.watch(function, returned=lambda response: _returned(web, response))
    if name == "pyramid.router":
        function = function_of(module, "Router.handle_request")
        if function is not None:
            yield wrap.surround(function, wrap.guarded(_keep_pyramids_request), passed=["request"])
    if name == "ZPublisher.mapply":
        function = function_of(module, "mapply")
        if function is not None:
            yield wrap.surround(function, wrap.guarded(_publishes), passed=["object"])
    if name == "aiohttp.web_protocol":
        yield from _of_aiohttp(module, web)
    if name == "starlette._exception_handler":
        function = function_of(module, "_lookup_exception_handler")
        if function is not None:
            yield wrap.watch(function, returned=_remember, passed=["exc"])
    if name == "starlette.responses":
        for path in ("Response.__call__", "StreamingResponse.__call__", "FileResponse.__call__"):
            function = function_of(module, path)
            if function is not None:
                yield wrap.surround(function, wrap.guarded(lambda response: _sends(web, response)), passed=["self"])


def _of_aiohttp(module: ModuleType, web: Web) -> Iterator[Any]:
    """What aiohttp's own server calls, which is no WSGI or ASGI application."""

    def begins(request: Any) -> Any:
        try:
            web.serves()
            return serving.called(request)
        except ours(Exception):
            guard.swallow("beginning a request")
            return None

    def failed(error: object, status: object) -> None:
        if isinstance(error, Exception) and type(status) is int and status >= 500:
            web.failed(error)

    def sends(response: Any) -> None:
        now = serving.current()
        if now is not None:
            now.sent = response.status

    handles = function_of(module, "RequestHandler._handle_request")
    if handles is not None:
        yield wrap.surround(handles, begins, web.returned, passed=["request"])
    for path, function, passed in (
        ("RequestHandler.handle_error", failed, ["exc", "status"]),
        ("RequestHandler.finish_response", sends, ["resp"]),
    ):
        watched = function_of(module, path)
        if watched is not None:
            yield wrap.surround(watched, wrap.guarded(function), passed=passed)


def _status(response: Any) -> int:
    """Of a response, or of what a view of Flask may return in its place: `body, status, headers`."""
    if type(response) is tuple:
        found = next((each for each in response[1:2] if type(each) is int), 0)
    else:
        found = getattr(response, "status_code", 0) if has_attribute(response, "status_code") else 0
    return found if type(found) is int else 0


def _keep_flasks_contexts() -> None:
    now = serving.current()
    if now is not None:
        now.contexts = frameworks.flask_contexts()


def _keep_pyramids_request(request: Any) -> None:
    now = serving.current()
    if now is not None:
        now.contexts = (request,)


def _publishes(found: object) -> None:
    now = serving.current()
    if now is not None and now.known is None:
        now.known = frameworks.published(found)


def _returned(web: Web, response: Any) -> None:
    now = serving.current()
    if now is None:
        return
    if work.closes is not None:  # a trace shows it
        now.sent = response.status_code
    error, now.handled = now.handled, None
    if error is not None:
        web.failed(error, response)


def _remember(handler: object, error: object) -> None:
    now = serving.current()
    if handler is not None and now is not None and isinstance(error, Exception):
        now.handled = error


def _sends(web: Web, response: Any) -> None:
    now = serving.current()
    if now is None:
        return
    now.sent = response.status_code
    error, now.handled = now.handled, None
    if error is not None and _status(response) >= 500:
        web.failed(error)
