"""The thread that enforces the bounds of a spool in a process without a DSN, where none delivers.

Most such processes never start it: only where the spool may be full, or was not swept for hours. It ends once it has
swept. No thread of the host lists a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ...base import imports
from ...base.clocks import monotonic
from ...base.interrupts import ours
from .worker import State, Worker

if TYPE_CHECKING:
    from ..history.forgetting import Expiry
    from ..spool.spool import Spool

LINGER = 1.0  # seconds that the thread waits for more before it ends
_MOST_CUT_SHORT = 3  # sweeps in a row that a fork may cut short
_PAUSE = 10.0  # pause after a sweep of a full spool, in durations of that sweep


class Sweeper(Worker):
    def __init__(self, spool: Spool, write_counts: Callable[[], None]) -> None:
        super().__init__("sweeping the spool")
        self._spool = spool
        self._write_counts = write_counts
        self._expiry: Expiry | None = None
        self._cut_short = 0  # by forks, one after the other

    def drain(self, timeout: float, slow: Callable[[int], None] | None = None) -> float:  # noqa: ARG002
        """It delivers nothing."""
        return timeout

    def close(self, timeout: float) -> None:
        if self._spool.is_over():
            self.wake()
        super().close(timeout)

    def serve(self, state: State) -> None:
        try:
            with imports.Guarded():
                from ..history.forgetting import Expiry
                from ..spool import bounds  # noqa: F401  (what a sweep needs)
        except ours(ImportError):
            return  # our files are gone, or cannot be opened: another process sweeps
        if self._expiry is None:
            self._expiry = Expiry(self._spool)
        while not state.parking:
            state.gate.acquire(False)  # the sweep that follows serves every wake until here
            last = state.closing
            began = monotonic()
            # In a process that forks all the time, no sweep would ever be complete.
            state.stays = self._cut_short >= _MOST_CUT_SHORT
            self._spool.sweep(lambda: state.parking)
            state.stays = False
            self._expiry.turn()
            self._cut_short = self._cut_short + 1 if state.parking else 0
            self._write_counts()
            if last:
                return
            state.pause((monotonic() - began) * _PAUSE)
            if not state.gate.acquire(True, LINGER):
                return

    def _ended(self) -> None:
        until = monotonic() + 1.0
        if self.no_thread and self._spool.is_over():  # Python 3.12 starts no thread any more
            self._spool.sweep(lambda: monotonic() > until)
        self._spool.abandon()
