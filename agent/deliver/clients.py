"""Keeps what a Sentry client of the host's own would send, and delivers it to the host's Sentry.

Each destination has a folder (`clients/NAME/` in the spool's), with its own lock, limits and quarantine, so that a
failing Sentry does not affect another. The bytes are delivered unchanged, and the agent's privacy settings do not
apply: the host decides what its client sends.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..base.interrupts import ours
from ..language.dsn import without_key
from .background.sender import Sender
from .courier import settings as courier_settings
from .courier.launch import Courier
from .http import route as routes
from .send.resources import to_sentry
from .spool.opening import directory_of, open_in

if TYPE_CHECKING:
    from ..base.model import Envelope, SpoolData
    from .http.route import Route
    from .spool.layout import Count
    from .spool.spool import Spool

_FOLDER = "clients"


class Destination:
    """One Sentry of the host's own clients, and what waits for it."""

    def __init__(self, route: Route, settings: SpoolData, state: str, count: Count) -> None:
        self._route = route
        self.spool = _open(route.name(), settings, state, count)
        self.sender = _courier(self.spool, route, settings, state, count)
        self.spool.sweeper = self.sender.wake

    def keep(self, envelope: Envelope) -> bool:
        """Write it to disk, or keep it in memory if that fails. Return False for what the client has to send itself."""
        if self.spool.is_too_large(envelope):
            return False
        try:
            self._route.keep(self.spool.directory)  # first: no other process can deliver without it
        except ours(OSError):
            pass  # `write` fails for the same reason, keeps the envelope in memory and reports it
        self.sender.announce()
        self.spool.write(envelope)
        self.sender.wake()
        return True


def _folder(settings: SpoolData, state: str) -> str:
    return os.path.join(directory_of(settings, state), _FOLDER)


def _open(name: str, settings: SpoolData, state: str, count: Count) -> Spool:
    return open_in(os.path.join(_folder(settings, state), name), settings, count, own=False)


def spool_for(route: Route, settings: SpoolData, state: str, count: Count) -> Spool:
    """Return the spool of a route, which is made if necessary. Raises OSError."""
    spool = _open(route.name(), settings, state, count)
    route.keep(spool.directory)
    return spool


class Found(NamedTuple):
    """A destination of the host's own clients, as found on disk."""

    name: str
    route: Route
    spool: Spool

    @property
    def where(self) -> str:
        """The DSN without its key."""
        return without_key(self.route.dsn)


def find(settings: SpoolData, state: str, count: Count) -> list[Found]:
    """Return all destinations that have a folder."""
    try:
        names = sorted(os.listdir(_folder(settings, state)))
    except ours(OSError):
        return []
    found = []
    for name in names:
        spool = _open(name, settings, state, count)
        route = routes.found(spool.directory) if spool.usable() else None
        if route is not None:
            found.append(Found(name, route, spool))
    return found


def adopt(settings: SpoolData, state: str, count: Count, *, but: str) -> None:
    """Deliver what waits for destinations other than `but`: their clients may never run again."""
    for name, route, spool in find(settings, state, count):
        if name != but and spool.is_anything_waiting():
            _courier(spool, route, settings, state, count).wake()


def _courier(spool: Spool, route: Route, settings: SpoolData, state: str, count: Count) -> Courier:
    held = courier_settings.here(None, os.path.join(state, "run"), "", settings)
    make = lambda: Sender(to_sentry(spool, route.dsn, count, route))  # noqa: E731
    return Courier(spool, held, make, allowed=settings["courier"])
