"""The agent's own spool, those of the host's clients, and the envelopes in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...base.errors import AgentError
from ...base.health import Health
from ...base.model import Envelope
from ...deliver import clients
from ...deliver.http.route import Route
from ...deliver.spool.names import SpoolEntry
from ...deliver.spool.spool import Spool
from ..options import Configured

WAITING, HELD, ASIDE = "waiting", "held back", "set aside"


class Place(NamedTuple):
    spool: Spool
    route: Route | None  # None: nothing can be sent from there
    name: str = ""  # of its folder, for a client of the host's own
    where: str = ""  # that client's Sentry, without its key

    def parts(self) -> dict[str, list[SpoolEntry]]:
        entries = self.spool.entries()
        return {
            WAITING: [entry for entry in entries if not entry.held],
            HELD: [entry for entry in entries if entry.held],
            ASIDE: [entry for entry, _ in self.spool.quarantined()],
        }

    def bytes_of(self, part: str, entries: Iterable[SpoolEntry]) -> int:
        return sum(self.spool.size(entry, quarantined=part == ASIDE) for entry in entries)


class Stored(NamedTuple):
    """An envelope in a spool, and its state there."""

    place: Place
    state: str
    entry: SpoolEntry

    def read(self) -> Envelope | None:
        """As `Spool.read`."""
        spool = self.place.spool
        return spool.read_quarantined(self.entry) if self.state == ASIDE else spool.read(self.entry)

    def remove(self) -> bool:
        spool = self.place.spool
        return spool.discard(self.entry) if self.state == ASIDE else spool.remove(self.entry)


def places(where: Configured, health: Health | None = None) -> list[Place]:
    """Every spool, the agent's own first."""
    count = (health or where.health("spool")).count
    dsn = where.sentry["dsn"]
    return [
        Place(where.spool(), Route(dsn) if dsn else None),
        *(
            Place(each.spool, each.route, each.name, each.where)
            for each in clients.find(where.spool_settings, where.state, count)
        ),
    ]


def check_usable(spool: Spool) -> None:
    """Raises AgentError where the spool's folder could not be read or written."""
    if spool.degraded:
        raise AgentError(f"the spool cannot be used: {spool.degraded}")


def stored(found: list[Place], *states: str) -> list[Stored]:
    """The envelopes in one of these states, or in any, in order of capture."""
    all_ = [
        Stored(place, state, entry)
        for place in found
        for state, entries in place.parts().items()
        if not states or state in states
        for entry in entries
    ]
    return sorted(all_, key=lambda each: each.entry.name)
