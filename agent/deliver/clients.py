"""Keeps what a Sentry client that the host set up itself would send, and delivers it to the host's Sentry.

Each destination has a folder of its own (`clients/NAME/` in the spool's), with its own lock, limits and quarantine:
whatever befalls one Sentry, the other does not feel. The host's bytes are delivered as they are, nothing of ours is
added, and none of the agent's privacy settings applies: what this client sends is the host's affair.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..base.interrupts import ours
from .background.sender import Sender
from .http import route as routes
from .send.resources import to_sentry
from .spool.spool import directory_of, open_in

if TYPE_CHECKING:
    from ..base.model import Envelope, SpoolData
    from .http.route import Route
    from .spool.spool import Count, Spool

_FOLDER = "clients"


class Destination:
    """One Sentry of the host's, and what waits for it."""

    def __init__(self, route: Route, settings: SpoolData, state: str, count: Count) -> None:
        self._route = route
        self.spool = open_in(os.path.join(directory_of(settings, state), _FOLDER, route.name()), settings, count)
        self.sender = Sender(to_sentry(self.spool, route.dsn, count, route))
        self.spool.sweeper = self.sender.wake

    def keep(self, envelope: Envelope) -> bool:
        """On disk when this returns, or in memory where no disk takes it; False for what the client is left to send."""
        if self.spool.is_too_large(envelope):
            return False
        try:
            self._route.keep(self.spool.directory)  # first: without it nobody else could deliver what we leave
        except ours(OSError):
            pass  # `write` meets the same trouble, keeps the envelope in memory and says so
        self.spool.write(envelope)
        self.sender.wake()
        return True


def spool_for(route: Route, settings: SpoolData, state: str, count: Count) -> Spool:
    """Where what goes there is kept; made if need be. Raises OSError."""
    spool = open_in(os.path.join(directory_of(settings, state), _FOLDER, route.name()), settings, count)
    route.keep(spool.directory)
    return spool


class Found(NamedTuple):
    """A destination of the host's, as it is found on disk."""

    name: str
    route: Route
    spool: Spool

    @property
    def where(self) -> str:
        """The DSN without its key."""
        scheme, _, rest = self.route.dsn.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"


def find(settings: SpoolData, state: str, count: Count) -> list[Found]:
    """All destinations that something was ever kept for."""
    folder = os.path.join(directory_of(settings, state), _FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except ours(OSError):
        return []
    found = []
    for name in names:
        spool = open_in(os.path.join(folder, name), settings, count)
        route = routes.found(spool.directory) if spool.usable() else None
        if route is not None:
            found.append(Found(name, route, spool))
    return found


def adopt(settings: SpoolData, state: str, count: Count, *, but: str) -> None:
    """Deliver what was left for other destinations than the one called `but`: their clients may be gone for good."""
    for name, route, spool in find(settings, state, count):
        if name != but and spool.is_anything_waiting():
            Sender(to_sentry(spool, route.dsn, count, route)).wake()
