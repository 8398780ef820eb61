"""Finds the applications that servers call, and surrounds both: the server's function and the application's."""

from __future__ import annotations

import sys
from _thread import allocate_lock
from functools import partial
from types import FunctionType, GetSetDescriptorType, MethodType
from typing import TYPE_CHECKING, Any, cast

from ...base import guard
from ...base.interrupts import ours
from ...base.slots import context_of
from ...hook.code import trampoline, wrap
from ...observe.around import context, traces, work
from ...observe.event.represent import class_attribute, type_name
from ...observe.failure import unmonitored
from . import embedding, facts, servers, serving
from .written import Written, package_of

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from ...boot.engine import Engine
    from ...hook.code import patch
    from .serving import Serving

_PATIENCE = 2.0  # seconds
_DEEPEST = 10  # wrappers around an application

#: Applications that are no part of an ERP, by their package.
_NOT_THE_ERPS = frozenset(("prometheus_client",))

#: The client has gone, which is no failure: exceptions that frameworks raise for it where they read or send.
_GONE = frozenset(
    ("ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect", "ConnectionClosed", "ConnectionClosedOK",
     "ConnectionClosedError", "DisconnectedClient")
)  # fmt: skip


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module `name` of a server has been imported. Returns the changes, each with its undo."""
    web = web_of(engine)
    changes: list[Any] = [web]
    for place in servers.PLACES[name]:
        function = function_of(module, place.function)
        if function is not None:
            changes += web.serve(name, place, function)
        sends = function_of(module, place.sends) if place.sends else None
        if sends is not None:
            web.written.senders.append(sends)
        handler = function_of(module, place.failed) if place.failed else None
        if handler is not None:
            changes.append(wrap.surround(handler, web.handling(name)))
    return changes


def function_of(module: ModuleType, path: str) -> FunctionType | None:
    holder, _, name = path.rpartition(".")
    found = getattr(module.__dict__.get(holder), "__dict__", {}) if holder else module.__dict__
    function = found.get(name)
    return function if type(function) is FunctionType else None


_webs: dict[int, Web] = {}


def web_of(engine: Engine) -> Web:
    """One for each engine."""
    web = _webs.get(id(engine))
    if web is None:
        web = _webs[id(engine)] = Web(engine)
        context.register("web", facts.provide)
        context.register("trace", traces.provide)
    return web


class Web:
    """The applications of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reports = engine.frameworks.integrates("web")
        self._serves = False
        self._lock = allocate_lock()
        self.written = Written()
        self._applications: dict[FunctionType, list[patch.Layer]] = {}

    def undo(self) -> bool:
        applications, self._applications = self._applications, {}
        for layers in applications.values():
            for layer in reversed(layers):
                layer.undo()
        self.written.undo()
        _webs.pop(id(self._engine), None)
        return True

    def serve(self, name: str, place: servers.Place, function: FunctionType) -> list[patch.Layer]:
        """Surround `function`, in which the server `name` calls an application."""
        first, _, path = place.application.partition(".")
        status = serving.reader(place.status)
        root = name.partition(".")[0]
        last: list[object] = [None, None]

        def enter(holder: Any) -> Any:
            try:
                application = holder
                for each in path.split(".") if path else ():
                    application = getattr(application, each)
                call = type(application).__call__  # another agent may replace it at any time
                if application is not last[0] or call is not last[1]:
                    self._watch_once(application)
                    last[:] = application, call
                return serving.opened(sys._getframe(1), status) if place.whole else None
            except ours(Exception):
                guard.swallow("finding the application of " + name)
                return None

        def leave(token: Any, _: bool) -> None:
            if token is not None:
                self.sent(token)

        def failed(error: BaseException, _: FrameType) -> None:
            cause = context_of(error) if type(error) is StopIteration else error  # gunicorn's word for: stop here
            if cause is not None and not serving.is_the_servers(cause, root):
                self.failed(cause)

        return [wrap.surround(function, enter, leave, passed=[first], failed=failed)]

    def handling(self, name: str) -> Any:
        """What is called while the server handles what its application raised."""
        root = name.partition(".")[0]

        def handles() -> None:
            error = sys.exc_info()[1]
            try:
                if error is not None and not serving.is_the_servers(error, root):
                    self.failed(error)
            except ours(Exception):
                guard.swallow("looking at a failure in " + name)

        return handles

    def _watch_once(self, application: object) -> None:
        """Requests that other threads have begun wait for it: they would not be seen."""
        locked = self._lock.acquire(timeout=_PATIENCE)  # a process that was forked meanwhile may never get it
        try:
            self.watch(application)
        finally:
            if locked:
                self._lock.release()

    def watch(self, application: object) -> None:
        """Surround the function that this application is, or that its class calls."""
        function, position = python_in(application)
        if function is None:
            kind = type_name(type(application))
            self._engine.note(
                f"an application is not written in Python, so that only failures of its requests are seen: {kind}"
            )
            return
        self.watch_function(function, position)
        if function in self._applications:
            self.serves()

    def watch_function(self, function: FunctionType, position: int) -> None:
        """Surround an application, which gets the request as this one of its arguments."""
        if function in self._applications or (function.__module__ or "").partition(".")[0] in _NOT_THE_ERPS:
            return
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        if position < len(names):
            passed = names[position : position + 2]
        elif code.co_flags & trampoline.CO_VARARGS:
            passed = (code.co_varnames[code.co_argcount + code.co_kwonlyargcount],)
        else:
            return  # it takes no request
        rest = max(position - len(names), 0)  # of the arguments that are one tuple
        self.written.frameworks.add(package_of(function.__globals__))
        self._applications[function] = [
            wrap.surround(function, partial(self._called, rest), self._leaves, passed=passed, failed=self._raised),
            *embedding.around(function, self),
        ]

    def serves(self) -> None:
        """There is an application: its requests are counted and traced."""
        if not self._serves:
            self._serves = True
            if self._reports:
                self.written.follow()
            if self._reports and self._engine.frameworks.sessions is None:
                self._engine.frameworks.serve("web")

    def _called(self, position: int, request: Any, start: Any = None) -> tuple[Serving, bool] | None:
        """An application is called: what is being served, and whether that begins and ends with this call."""
        try:
            if type(request) is tuple:
                request, start = (*request[position : position + 2], None, None)[:2]
            if not issubclass(type(request), dict):
                return None
            is_wsgi = "REQUEST_METHOD" in request
            if is_wsgi or request.get("type") in ("http", "websocket"):
                begun = serving.called(cast("dict[str, Any]", request))
                if begun is not None:
                    self.serves()
                if is_wsgi and type(start) is MethodType:
                    self._starts(start.__func__)
                now = begun or serving.current()
                if now is not None:
                    now.depth += 1
                    return now, begun is not None
        except ours(Exception):
            guard.swallow("beginning a request")
        return None

    def _starts(self, function: object) -> None:
        """Where nothing else shows the status, the server's `start_response` does, if that is a method in Python."""
        now = serving.current()
        if now is None or now.status is not None or type(function) is not FunctionType:
            return
        if function in self._applications or function.__code__.co_argcount < 2:
            return
        status = function.__code__.co_varnames[1]
        self._applications[function] = [wrap.surround(function, wrap.guarded(_started), passed=[status])]

    def _leaves(self, called: tuple[Serving, bool] | None, _: bool) -> None:
        if called is not None:
            now, ends = called
            now.depth -= 1
            if ends:
                self.returned(now, _)

    def returned(self, begun: Serving | None, _: bool) -> None:
        if begun is not None:
            self._ends(begun)
            serving.end(begun, self._engine)

    def sent(self, token: Any) -> None:
        """A response was sent, or given up: `token` is what `serving.opened` has returned."""
        self._ends(token[0])
        serving.closed(token, self._engine)

    def _ends(self, now: Serving) -> None:
        if now.written is None:
            return
        try:
            error = self.written.failure_of(now)
            if error is not None:
                self.failed(error)
        except ours(Exception):
            guard.swallow("looking at a request that ends")

    def _raised(self, error: BaseException, _: FrameType) -> None:
        now = serving.current()
        if now is None or now.depth <= 1:  # what another application calls may yet be handled there
            self.failed(error)

    def failed(self, error: BaseException, response: object = None) -> None:
        """The request that is being served has failed with this exception, of which a `response` may have been made."""
        if not self._reports or type(error).__name__ in _GONE or not (serving.current() or serving.begin_late()):
            return
        operation, function = facts.operation(error)
        self._engine.frameworks.failed("request", error, operation=operation, function=function or "web.application")
        doing = work.current()
        if response is not None and doing is not None and unmonitored.is_reported(error):
            doing.response = response  # no endpoint reports it again


def python_in(application: object) -> tuple[FunctionType | None, int]:
    """The Python function that is run when `application` is called, and where in its arguments the request is."""
    called, position = application, 0
    for _ in range(_DEEPEST):
        kind = type(called)
        if kind is FunctionType:
            return cast("FunctionType", called), position
        if kind is partial:
            position += len(called.args)  # type: ignore[attr-defined]
            called = called.func  # type: ignore[attr-defined]
            continue
        wrapped = class_attribute(called, "__wrapped__")
        if type(wrapped) is GetSetDescriptorType:  # another agent's wrapper, written in C
            called = wrapped.__get__(called)
            continue
        position += 1
        if kind is MethodType:
            called = called.__func__  # type: ignore[attr-defined]
        elif isinstance(called, type):  # whose objects are the responses
            called = next((each.__dict__["__init__"] for each in called.__mro__ if "__init__" in each.__dict__), None)
        else:
            called = class_attribute(called, "__call__")
    return None, 0


def _started(status: object) -> None:
    now = serving.current()
    if now is not None and now.status is None:
        now.sent = status
