"""Events that a Sentry client of the host's own takes from us: their copies go to the history, and are never sent.

On the host's threads: one rename, and one line that is appended to the index of the day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.clocks import time
from ..base.interrupts import ours
from .history import shelves
from .history.facts import facts_of, payload_in
from .spool.files import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .spool.names import SpoolEntry
    from .spool.spool import Spool


def keep(spool: Spool, entry: SpoolEntry, event: Mapping[str, Any], where: str) -> None:
    """Move the copy of an event to the history, where there is one. `where`: the client's Sentry, without its key."""
    max_age, max_size = spool.history
    taken = shelves.Accepted(time(), shelves.HANDED, where)
    if not (max_age and max_size) or not shelves.put(spool.directory, spool.path(entry), entry, taken, facts_of(event)):
        spool.remove(entry)  # also from memory


def event_of(spool: Spool, entry: SpoolEntry) -> dict[str, Any] | None:
    """Return the event of an envelope that waits; None if it is gone or cannot be read."""
    try:
        envelope = spool.read(entry)
    except ours(OSError, UnreadableError):
        return None
    payload = payload_in(envelope.data) if envelope is not None else None
    return payload.event if payload is not None else None
