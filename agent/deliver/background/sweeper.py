"""The thread that holds the bounds of a spool from which nothing is delivered: a process without a DSN has it.

Most such processes never start it: only where the spool may be full, or nobody has looked at it for hours. It runs for
as long as a look takes. No thread of the host's lists a folder.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Callable

from ...base import imports
from ...base.interrupts import ours
from .worker import State, Worker

if TYPE_CHECKING:
    from ..spool.spool import Spool

_LINGER = 1.0  # seconds that the thread waits for more before it ends
_OFTEN = 3  # looks in a row that a fork may cut short
_SHARE = 10.0  # in a full spool, as long as a look took, so many times that it rests


class Sweeper(Worker):
    def __init__(self, spool: Spool, counted: Callable[[], None]) -> None:
        """`counted` writes down what was counted."""
        super().__init__("holding the bounds of the spool")
        self._spool = spool
        self._counted = counted
        self._cut_short = 0  # by forks, one after the other

    def close(self, timeout: float) -> None:
        if self._spool.is_over():
            self.wake()
        super().close(timeout)

    def _serve(self, state: State) -> None:
        try:
            with imports.Guarded():
                from ..spool import bounds  # noqa: F401  (what a sweep needs)
        except ours(ImportError):
            return  # our files are gone, or cannot be opened: another process sweeps
        while not state.parking:
            state.gate.acquire(False)  # what was asked for until here, the look that follows sees to
            last = state.closing
            began = monotonic()
            # In a process that forks all the time, no look would ever come to its end.
            state.stays = self._cut_short >= _OFTEN
            self._spool.sweep(lambda: state.parking)
            state.stays = False
            self._cut_short = self._cut_short + 1 if state.parking else 0
            self._counted()
            if last:
                return
            state.pause((monotonic() - began) * _SHARE)
            if not state.gate.acquire(True, _LINGER):
                return

    def _ended(self) -> None:
        until = monotonic() + 1.0
        if self._no_thread and self._spool.is_over():  # Python 3.12 starts no thread any more
            self._spool.sweep(lambda: monotonic() > until)
        self._spool.abandon()
