"""Reports requests of Django that fail with an unhandled exception, or with one that became a server error.

Django sends a signal for an exception that is raised before there is a response. A middleware, or the exception handler
of Django REST framework, may make a response of the exception instead. A streamed response may fail later, in the
server, which iterates over its parts.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from ...base import guard
from ...base.interrupts import ours
from ...base.slots import drop_first_frame
from ...hook.code import wrap
from ...observe.around import work
from ...observe.failure import unmonitored
from ..web import serving
from . import request_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, FunctionType

    from ...hook.code import patch


class Failures:
    """`failed(what, error, operation=…, function=…)` is called for each, while it is handled."""

    def __init__(self, failed: Callable[..., bool]) -> None:
        self._failed = failed
        self._readers: dict[type, list[patch.Layer]] = {}

    def undo(self) -> bool:
        """Stop watching the servers' readers of files. What the other methods return has its own undo."""
        for layer in [layer for layers in self._readers.values() for layer in layers]:
            layer.undo()
        return True

    def received(self, **_: Any) -> None:
        """Receives `got_request_exception`, which Django sends while it handles the exception."""
        error = sys.exc_info()[1]
        if error is not None:
            self._report(error)

    def watch(self, response: type) -> Iterator[patch.Layer]:
        """Watch the iteration over streamed responses of this class."""
        methods = response.__dict__
        yield wrap.wrap(methods["__iter__"], self._iterate, warns=True)
        if "__aiter__" in methods:
            yield wrap.watch(methods["__aiter__"], failed=self._broke_off)

    def files(self, function: FunctionType) -> Iterator[patch.Layer]:
        """Watch files that `function`, a WSGI application, returns as the server's own reader.

        Does nothing where another agent's wrapper, with other parameters, has replaced Django's function.
        """
        if "environ" in function.__code__.co_varnames[: function.__code__.co_argcount]:
            yield wrap.watch(function, returned=self._served, passed=["environ"])

    def _served(self, served: Any, environ: Any) -> None:
        reader = type(served)
        if reader is not environ.get("wsgi.file_wrapper") or reader in self._readers:
            return
        reads = [reader.__dict__.get(name) for name in ("__next__", "__getitem__")]
        written = type(_request_of)  # a Python function: a reader written in C cannot be watched
        self._readers[reader] = [
            wrap.watch(cast("FunctionType", read), failed=self._unreadable) for read in reads if type(read) is written
        ]

    def _unreadable(self, error: BaseException, frame: FrameType) -> None:
        """Report a reader that failed. Django gives the file that it reads the response's own `close`."""
        kind = type(error)
        if issubclass(kind, Exception) and not issubclass(kind, (StopIteration, IndexError)):  # both end a file
            file = getattr(frame.f_locals.get("self"), "filelike", None)
            close = getattr(file, "__dict__", {}).get("close")
            self._report_stream(error, getattr(close, "__self__", None))

    def responses(self, function: FunctionType, name: str) -> patch.Layer:
        """Watch `function`, a middleware or a framework's handler, which makes a response of its parameter `name`.

        If the response is a server error, that exception is reported.
        """
        return wrap.watch(function, returned=self._responded, passed=[name])

    def _responded(self, response: Any, error: object) -> None:
        status = getattr(response, "status_code", None)
        if type(status) is int and status >= 500 and isinstance(error, Exception):
            self._report(error)
            doing = work.current()
            if doing is not None and unmonitored.is_reported(error):
                doing.response = response  # no endpoint reports it again

    def _broke_off(self, error: BaseException, frame: FrameType) -> None:
        if isinstance(error, Exception):
            self._report_stream(error, frame.f_locals.get("self"))

    def _report(self, error: BaseException) -> None:
        try:
            operation, function = request_context.operation()
            self._failed("request", error, operation=operation, function=function)
        except ours(Exception):
            guard.swallow("reporting a request that failed")

    def _report_stream(self, error: BaseException, response: Any) -> None:
        """Report in the context of the request, which has ended by now where the server is none that we know."""
        if serving.current() is not None:
            self._report(error)
            return
        entered = work.enter(_request_of(response))
        try:
            self._report(error)
        finally:
            work.leave(entered)

    @wrap.passed_over
    def _iterate(self, original: FunctionType, response: Any) -> Iterator[Any]:
        try:
            parts = original(response)  # an asynchronous iterator is read to its end here
        except ours(Exception) as error:
            drop_first_frame(error)
            self._report_stream(error, response)
            raise
        return self._parts(iter(parts), response)

    def _parts(self, parts: Iterator[Any], response: Any) -> Iterator[Any]:
        try:
            yield from parts
        except ours(Exception) as error:
            self._report_stream(error, response)
            raise


def _request_of(response: Any) -> Any:
    """Return the request that is closed together with this response."""
    for close in reversed(getattr(response, "_resource_closers", None) or ()):
        request = getattr(close, "__self__", None)
        if request is not None and hasattr(type(request), "get_signed_cookie"):
            return request
    return None
