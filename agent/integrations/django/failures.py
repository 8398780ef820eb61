"""Requests of Django that fail with an exception which nobody has dealt with, or of which a server error was made.

Django's own signal tells of those that fail before there is an answer. A middleware, or the exception handler of
Django REST framework, may answer itself. One that fails in the middle of a streamed answer fails in the server, which
asks for one part after the other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from ...base import guard
from ...base.interrupts import ours
from ...base.slots import set_traceback, traceback_of
from ...hook.code import wrap
from ...observe.around import work
from ...observe.failure import unmonitored
from . import request_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, FunctionType, ModuleType

    from ...hook.code import patch

_UID = "erp-sentry-agent"


class Failures:
    """`failed(what, error, operation=…, function=…)` is called for each, while it is handled."""

    def __init__(self, failed: Callable[..., bool]) -> None:
        self._failed = failed
        self._signal: Any = None
        self._readers: dict[type, list[patch.Layer]] = {}

    def listen(self, signals: ModuleType) -> Failures:
        """To `got_request_exception`, which Django sends while it handles the exception."""
        self._signal = signals.got_request_exception
        self._signal.connect(self._receive, weak=False, dispatch_uid=_UID)
        return self

    def undo(self) -> bool:
        if self._signal is not None:
            self._signal.disconnect(self._receive, dispatch_uid=_UID)
        for layer in [layer for layers in self._readers.values() for layer in layers]:
            layer.undo()
        return True

    def watch(self, response: type) -> Iterator[patch.Layer]:
        """The parts of streamed answers of this class. Undo through what is answered."""
        methods = response.__dict__
        yield wrap.wrap(methods["__iter__"], self._iterate, warns=True)
        if "__aiter__" in methods:
            yield wrap.watch(methods["__aiter__"], failed=self._break_off)

    def files(self, function: FunctionType) -> Iterator[patch.Layer]:
        """`function` serves WSGI: for a file it returns the server's own reader, which knows nothing of the answer.

        Nothing where it is no longer Django's own: another agent's wrapper has other parameters.
        """
        if "environ" in function.__code__.co_varnames[: function.__code__.co_argcount]:
            yield wrap.watch(function, returned=self._served, passed=["environ"])

    def _served(self, served: Any, environ: Any) -> None:
        reader = type(served)
        if reader is not environ.get("wsgi.file_wrapper") or reader in self._readers:
            return
        reads = [reader.__dict__.get(name) for name in ("__next__", "__getitem__")]
        written = type(_request_of)  # in Python: what a server has in C cannot be watched
        self._readers[reader] = [
            wrap.watch(cast("FunctionType", read), failed=self._unreadable) for read in reads if type(read) is written
        ]

    def _unreadable(self, error: BaseException, frame: FrameType) -> None:
        """Django gives a file that is served so the answer's own `close`."""
        kind = type(error)
        if issubclass(kind, Exception) and not issubclass(kind, (StopIteration, IndexError)):  # these end a file
            file = getattr(frame.f_locals.get("self"), "filelike", None)
            close = getattr(file, "__dict__", {}).get("close")
            self._tell_of_stream(error, getattr(close, "__self__", None))

    def answers(self, function: FunctionType, name: str) -> patch.Layer:
        """`function` makes an answer of the exception that is its parameter `name`: a middleware, or a handler of a
        framework's. If that is a server error, the exception is what has failed.
        """
        return wrap.watch(function, returned=self._answer, passed=[name])

    def _answer(self, response: Any, error: object) -> None:
        status = getattr(response, "status_code", None)
        if type(status) is int and status >= 500 and isinstance(error, Exception):
            self._tell(error)
            doing = work.current()
            if doing is not None and unmonitored.is_reported(error):
                doing.response = response  # which no endpoint has to report once more

    def _break_off(self, error: BaseException, frame: FrameType) -> None:
        if isinstance(error, Exception):
            self._tell_of_stream(error, frame.f_locals.get("self"))

    def _receive(self, **_: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        try:
            operation, function = request_context.operation()
            self._failed("request", error, operation=operation, function=function)
        except ours(Exception):
            guard.swallow("reporting a request that failed")

    def _tell_of_stream(self, error: BaseException, response: Any) -> None:
        """The request has been left by now."""
        entered = work.enter(_request_of(response))
        try:
            self._tell(error)
        finally:
            work.leave(entered)

    @wrap.passed_over
    def _iterate(self, original: FunctionType, response: Any) -> Iterator[Any]:
        try:
            parts = original(response)  # an asynchronous iterator is read to its end here
        except ours(Exception) as error:
            passed = traceback_of(error)
            if passed is not None:
                set_traceback(error, passed.tb_next)  # without our frame
            self._tell_of_stream(error, response)
            raise
        return self._parts(iter(parts), response)

    def _parts(self, parts: Iterator[Any], response: Any) -> Iterator[Any]:
        try:
            yield from parts
        except ours(Exception) as error:
            self._tell_of_stream(error, response)
            raise


def _request_of(response: Any) -> Any:
    """The request that is closed together with this answer."""
    for close in reversed(getattr(response, "_resource_closers", None) or ()):
        request = getattr(close, "__self__", None)
        if request is not None and hasattr(type(request), "get_signed_cookie"):
            return request
    return None
