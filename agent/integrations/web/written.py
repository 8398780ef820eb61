"""Exceptions that a framework makes a page of where no function of it is known: it writes their traceback.

Falcon, Bottle, CherryPy, Quart, BlackSheep and home-grown ones catch what the ERP raises, log it, and respond with a
server error. Whatever logs or prints a traceback makes a `traceback.TracebackException`. The last one of a request
whose response is a server error is what the request has failed in.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base.slots import traceback_of
from ...hook.code import wrap
from ...observe.around import work
from ...observe.failure import reported, unmonitored
from . import frameworks, serving

if TYPE_CHECKING:
    from types import FunctionType

    from ...hook.code import patch


class Written:
    """Remembers exceptions for the requests of this process."""

    def __init__(self) -> None:
        self.senders: list[FunctionType] = []  #: functions of servers that get the response as messages of ASGI
        self.frameworks: set[str] = set()  #: packages whose functions are applications
        self._layers: list[patch.Layer] = []

    def follow(self) -> None:
        """Called when there is an application. Costs the requests nothing that write no traceback."""
        made_of = getattr(sys.modules.get("traceback"), "TracebackException", None)
        if made_of is not None:
            layer = wrap.surround(made_of.__init__, wrap.guarded(self.note), passed=["exc_value", "_seen"])
            self._layers.append(layer)

    def note(self, error: object, inside: object = None) -> None:
        """`inside`: the exceptions of one traceback, of which this is not the first."""
        now = serving.current()
        if now is None or inside is not None or not isinstance(error, Exception):
            return
        if (now.sent is not None and (serving.status(now) or 0) < 500) or serving.is_websocket(now.request):
            return  # no server error can become of it; it would be kept alive for as long as the stream lasts
        # Decided while the frames run that it passes: they show whether it is a failure that was reported.
        now.written = None if unmonitored.is_reported(error) else error
        frameworks.remember(now, error)
        senders, self.senders = self.senders, []
        self._layers += [wrap.surround(each, wrap.guarded(_sends), passed=["message"]) for each in senders]

    def failure_of(self, now: serving.Serving) -> BaseException | None:
        """What the request has failed in, once it ends; None if its response is no server error, or it was reported."""
        error, now.written = now.written, None
        doing = work.current()
        if error is None or doing is None or doing.failure is not None or reported.is_remembered(error):
            return None
        status = serving.status(now)
        fails = self._was_caught_outside(error) if status is None else status >= 500
        return error if fails else None

    def _was_caught_outside(self, error: BaseException) -> bool:
        """Was it the framework that caught it, and no code further in? Decides where the status is not known.

        Not for Django, which logs what it makes a 400 of, and whose failures are known by name.
        """
        traceback = traceback_of(error)
        if traceback is None:
            return False
        package = package_of(traceback.tb_frame.f_globals)
        return package in self.frameworks and package != "django"

    def undo(self) -> None:
        layers, self._layers = self._layers, []
        for layer in reversed(layers):
            layer.undo()


def package_of(namespace: dict[str, Any]) -> str:
    """The top-level package of the module whose namespace it is."""
    name = namespace.get("__name__")
    return name.partition(".")[0] if type(name) is str else ""


def _sends(message: Any) -> None:
    now = serving.current()
    if now is not None and message["type"] == "http.response.start":
        now.sent = message["status"]
