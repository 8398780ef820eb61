"""What became of an event: sent, handed over, waiting, held back or set aside, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...base import clocks
from ..send.rate_limits import ALL, BACKOFF, RateLimits
from . import shelves

if TYPE_CHECKING:
    from ..spool.names import SpoolEntry
    from .shelves import Accepted

SENT, HANDED, WAITING, HELD, ASIDE = "sent", "handed over", "waiting", "held back", "set aside"
STATES = (SENT, HANDED, WAITING, HELD, ASIDE)


class Fate(NamedTuple):
    state: str  # one of STATES
    reason: str = ""  # why it is not sent, for a person to read
    at: float | None = None  # when Sentry, or the ERP's client, accepted it, in seconds since the epoch
    status: int = 0  # of HTTP; 0 if it is not known
    host: str = ""  # of that Sentry


def of_delivered(delivered: Accepted | None) -> Fate:
    if delivered is not None and delivered.status == shelves.HANDED:
        to = ", ".join(filter(None, ("to the ERP's own Sentry client", delivered.host)))
        return Fate(HANDED, f"{to}; it is not sent again", delivered.at, 0, delivered.host)
    return Fate(SENT) if delivered is None else Fate(SENT, "", *delivered)


def of_held(entry: SpoolEntry) -> Fate:
    if entry.trying:
        return Fate(HELD, "of an attempt that may be repeated: kept until it has ended")
    return Fate(HELD, "captured without a DSN (to send: python -m agent spool release)")


class Waiting:
    """Why the envelopes of one spool wait, as its files show it."""

    def __init__(self, directory: str) -> None:
        limits = RateLimits(directory, clocks.time)
        limits.load()
        self._active = limits.active()
        self._reason = limits.reason
        self._since = limits.since

    def fate(self, category: str) -> Fate:
        """Of an envelope of this category."""
        left = max((self._active.get(key, 0.0), key) for key in (ALL, BACKOFF, category))
        seconds, key = left
        if seconds and key != BACKOFF:
            what = "everything" if key == ALL else f"envelopes of {category}"
            return Fate(WAITING, f"Sentry limits {what} until {_clock(clocks.time() + seconds)}")
        if not self._reason:
            return Fate(WAITING, "the next delivery sends it")
        since = f"since {_clock(self._since)} " if self._since else ""
        again = f"; next attempt at {_clock(clocks.time() + seconds)}" if seconds else ""
        return Fate(WAITING, f"{since}Sentry does not accept it: {self._reason}{again}")


def _clock(stamp: float) -> str:
    """The time of day if it is today, else with the date."""
    when = clocks.localtime(stamp)
    return clocks.strftime("%H:%M:%S" if when[:3] == clocks.localtime()[:3] else "%Y-%m-%d %H:%M:%S", when)
