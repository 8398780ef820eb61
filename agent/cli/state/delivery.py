"""What is known of the delivery to Sentry: from the files of a spool, without a lock that a sender might miss."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ...base import programs
from ...base.health import alive
from ...deliver.courier import run as courier
from ...deliver.history import shelves
from ...deliver.send.rate_limits import RateLimits
from ...language.dsn import without_key
from ..options import Configured
from ..spool.places import Place, places


class Delivery(NamedTuple):
    """One spool. Times are seconds since the epoch; None: it is not known, or there is none."""

    sentry: str  # the address without its key; "": there is no DSN
    spool: str
    waiting: int
    oldest: float | None  # of those that wait
    held: int  # captured without a DSN
    held_traces: int  # of these; `events` lists them only if it is asked for them
    attempts: int  # held back until an attempt has ended
    aside: int
    aside_reason: str  # of the last one
    unusable: str  # why nothing can be written to the folder
    failure: str  # why the last attempt did not deliver
    next_attempt: float | None
    accepted: float | None  # when Sentry, or else the ERP's own client, accepted the last event, as far as known
    handed_to: str  # the address of the ERP's own client that took it; "" if it was sent
    courier: dict[str, Any] | None  # pid, since, delivered, trouble of the process that delivers now
    is_client: bool = False  # of a Sentry client of the ERP's own


def read(where: Configured) -> list[Delivery]:
    """The agent's own spool, then those of the ERP's own clients. Raises OSError."""
    return [_of(place) for place in places(where)]


def _of(place: Place) -> Delivery:
    spool = place.spool
    entries = spool.entries()
    waiting = [entry for entry in entries if not entry.held]
    aside = spool.quarantined()
    limits = RateLimits(spool.directory, time.time)
    limits.load()
    active = limits.active()
    spool.usable()
    accepted = shelves.last_accepted(spool.directory)
    return Delivery(
        sentry=without_key(place.route.dsn) if place.route is not None else "",
        spool=spool.directory,
        waiting=len(waiting),
        oldest=waiting[0].stamp / 1e9 if waiting else None,
        held=sum(entry.held and not entry.trying for entry in entries),
        held_traces=sum(entry.held and not entry.trying and entry.category == "transaction" for entry in entries),
        attempts=sum(entry.held and entry.trying for entry in entries),
        aside=len(aside),
        aside_reason=(aside[-1][1] or "no reason was kept") if aside else "",
        unusable=spool.degraded or "",
        failure=limits.reason,
        next_attempt=time.time() + max(active.values()) if active else None,
        accepted=accepted.at if accepted is not None else None,
        handed_to=accepted.host if accepted is not None and accepted.status == shelves.HANDED else "",
        courier=courier_of(spool.directory),
        is_client=bool(place.name),
    )


def courier_of(directory: str) -> dict[str, Any] | None:
    """The process that delivers a spool now; None if none lives."""
    noted = courier.noted(directory)
    pid = noted.get("pid")
    if not isinstance(pid, int) or not alive(pid) or not _delivers(pid):
        return None
    return {name: noted.get(name) for name in ("pid", "since", "delivered", "next", "trouble")}


def _delivers(pid: int) -> bool:
    """Whether the process with this number is a courier of ours, where that can be read: numbers are used again."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read(1 << 16)
    except OSError:
        return True
    return programs.COURIER.encode() in words or b"--watch" in words
