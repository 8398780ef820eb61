"""A worker begins: Django has its settings by now, and they may bring the DSN that nobody else gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours

if TYPE_CHECKING:
    from collections.abc import Callable

_UID = "erp-sentry-agent-start"


class Start:
    """A receiver of `celeryd_after_setup`: the application's modules are imported, no process has been forked yet."""

    def __init__(self, signals: Any, begin: Callable[[], None]) -> None:
        self._signal = signals.celeryd_after_setup
        self._begin = begin
        self._signal.connect(self._receive, weak=False, dispatch_uid=_UID)

    def undo(self) -> bool:
        self._signal.disconnect(self._receive, dispatch_uid=_UID)
        return True

    def _receive(self, **_: Any) -> None:
        try:
            self._begin()
        except ours(Exception):
            guard.swallow("beginning to run tasks")
