"""Receivers of Django's and Celery's signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours

if TYPE_CHECKING:
    from collections.abc import Callable


class Receiver:
    """Calls `function` with the keywords of each signal, until `undo`. What it raises is swallowed.

    `where` names the step in words, for messages. It also identifies the receiver among those of one signal.
    """

    def __init__(self, signal: Any, function: Callable[..., None], where: str, sender: Any = None) -> None:
        self._signal = signal
        self._function = function
        self._where = where
        self._sender = sender
        signal.connect(self._receive, sender=sender, weak=False, dispatch_uid="erp-sentry-agent: " + where)

    def undo(self) -> bool:
        uid = "erp-sentry-agent: " + self._where
        self._signal.disconnect(self._receive, sender=self._sender, dispatch_uid=uid)
        return True

    def _receive(self, **keywords: Any) -> None:
        try:
            self._function(**keywords)
        except ours(Exception):
            guard.swallow(self._where)
