"""Requests of Django that fail with an exception which nobody has dealt with.

Django's own signal tells of those that fail before there is an answer. One that fails in the middle of a streamed
answer fails in the server, which asks for one part after the other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .. import guard
from ..interrupts import ours
from ..observe import work
from . import django_context, wrapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import FunctionType, ModuleType

    from ..hook import patch

_UID = "erp-sentry-agent"


class Failures:
    """`failed(what, error, operation=…, function=…)` is called for each, while it is handled."""

    def __init__(self, failed: Callable[..., bool]) -> None:
        self._failed = failed
        self._signal: Any = None

    def listen(self, signals: ModuleType) -> Failures:
        """To `got_request_exception`, which Django sends while it handles the exception."""
        self._signal = signals.got_request_exception
        self._signal.connect(self._receive, weak=False, dispatch_uid=_UID)
        return self

    def undo(self) -> bool:
        self._signal.disconnect(self._receive, dispatch_uid=_UID)
        return True

    def watch(self, response: type) -> Iterator[patch.Layer]:
        """The parts of streamed answers of this class. Undo through what is answered."""
        methods = response.__dict__
        yield wrapping.wrap(methods["__iter__"], self._iterate)
        if "__aiter__" in methods:
            yield wrapping.wrap(methods["__aiter__"], self._iterate_async)

    def _receive(self, **_: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        try:
            operation, function = django_context.operation()
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

    def _iterate(self, original: FunctionType, response: Any) -> Iterator[Any]:
        return self._parts(iter(original(response)), response)

    def _parts(self, parts: Iterator[Any], response: Any) -> Iterator[Any]:
        try:
            yield from parts
        except Exception as error:
            self._tell_of_stream(error, response)
            raise

    def _iterate_async(self, original: FunctionType, response: Any) -> AsyncIterator[Any]:
        return self._parts_async(original(response), response)

    async def _parts_async(self, parts: AsyncIterator[Any], response: Any) -> AsyncIterator[Any]:
        try:
            async for part in parts:
                yield part
        except Exception as error:
            self._tell_of_stream(error, response)
            raise


def _request_of(response: Any) -> Any:
    """The request that is closed together with this answer."""
    for close in reversed(getattr(response, "_resource_closers", None) or ()):
        request = getattr(close, "__self__", None)
        if request is not None and hasattr(type(request), "get_signed_cookie"):
            return request
    return None
