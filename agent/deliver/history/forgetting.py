"""What commands remove from a history: single events, wherever they are in a spool, and what is too old."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ...base import clocks
from ...base.errors import AgentError
from ...base.interrupts import ours
from ..send.lock import DeliveryLock
from ..spool.names import parse_name
from . import history

if TYPE_CHECKING:
    from ..spool.spool import Spool

_PATIENCE = 30.0  # seconds that a turn of a delivery may take
_LOOK = 0.05
_EVERY = 600.0  # seconds between two looks at all of a history


def forget(spool: Spool, names: set[str]) -> int:
    """Remove these envelopes, sent or not. Return how many were there. Raises AgentError."""
    lock = DeliveryLock(spool.directory)
    until = clocks.monotonic() + _PATIENCE
    while lock.take() is False:
        if clocks.monotonic() > until:
            raise AgentError(f"a process delivers {spool.directory} just now, and nothing was deleted; try again")
        time.sleep(_LOOK)
    try:
        removed = 0
        for entry in filter(None, map(parse_name, names)):
            removed += spool.remove(entry) or spool.remove(entry._replace(held=True)) or spool.discard(entry)
        return removed + history.remove(spool.directory, names)
    except ours(OSError) as error:
        where = error.filename or os.path.join(spool.directory, "history")
        raise AgentError(f"not everything could be deleted: {error.strerror} ({where}); try again") from None
    finally:
        lock.release()


class Expiry:
    """The bounds of a history that no delivery enforces: without a DSN, the host's own client takes the events."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._looked: float | None = None

    def turn(self) -> None:
        """Enforce them now and then. Never raises."""
        now = clocks.monotonic()
        if self._looked is None or now - self._looked >= _EVERY:
            self._looked = now
            expire(self._spool)


def expire(spool: Spool) -> None:
    """Enforce the bounds of the history, unless a process delivers just now, which does that."""
    lock = DeliveryLock(spool.directory)
    if spool.usable() and lock.take():
        try:
            history.History(spool.directory, *spool.history, spool.ages).sweep()
        except ours(OSError):
            pass  # the next delivery tries again
        finally:
            lock.release()
