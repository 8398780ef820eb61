"""Requests of Django that fail with an exception which nobody has dealt with, told by Django's own signal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .. import guard
from . import django_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_UID = "erp-sentry-agent"


class Failures:
    """A receiver of `got_request_exception`, which Django sends while it handles the exception."""

    def __init__(self, signals: ModuleType, failed: Callable[..., bool]) -> None:
        self._signal = signals.got_request_exception
        self._failed = failed
        self._signal.connect(self._receive, weak=False, dispatch_uid=_UID)

    def undo(self) -> bool:
        self._signal.disconnect(self._receive, dispatch_uid=_UID)
        return True

    def _receive(self, **_: Any) -> None:
        try:
            error = sys.exc_info()[1]
            if error is not None:
                operation, function = django_context.operation()
                self._failed("request", error, operation=operation, function=function)
        except Exception:
            guard.swallow("reporting a request that failed")
