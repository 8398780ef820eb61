"""What the commands of `spool` share: the agent's own spool, those of the host's clients, and what lies there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..deliver import clients
from ..deliver.route import Route
from ..health import Health

if TYPE_CHECKING:
    from ..deliver.spool import Entry, Spool
    from ..model import Envelope
    from .here import Here

WAITING, HELD, ASIDE = "waiting", "held back", "set aside"


class Place(NamedTuple):
    spool: Spool
    route: Route | None  # None: nothing can be sent from there
    name: str = ""  # of its folder, for a client of the host's own
    where: str = ""  # that client's Sentry, without its key

    def parts(self) -> dict[str, list[Entry]]:
        lying = self.spool.entries()
        return {
            WAITING: [entry for entry in lying if not entry.held],
            HELD: [entry for entry in lying if entry.held],
            ASIDE: [entry for entry, _ in self.spool.quarantined()],
        }


class Lying(NamedTuple):
    """An envelope, with where it is."""

    place: Place
    state: str
    entry: Entry

    def read(self) -> Envelope | None:
        """As `Spool.read`."""
        spool = self.place.spool
        return spool.read_quarantined(self.entry) if self.state == ASIDE else spool.read(self.entry)

    def remove(self) -> bool:
        spool = self.place.spool
        return spool.discard(self.entry) if self.state == ASIDE else spool.remove(self.entry)


def places(where: Here, health: Health | None = None) -> list[Place]:
    """The agent's own first."""
    counted = (health or Health(os.path.join(where.state, "run"), where.config)).count
    dsn = where.sentry["dsn"]
    return [
        Place(where.spool(), Route(dsn) if dsn else None),
        *(
            Place(each.spool, each.route, each.name, each.where)
            for each in clients.find(where.spool_settings, where.state, counted)
        ),
    ]


def lying(found: list[Place], *states: str) -> list[Lying]:
    """All that lies there in one of these states, or in any, in order of capture."""
    all_ = [
        Lying(place, state, entry)
        for place in found
        for state, entries in place.parts().items()
        if not states or state in states
        for entry in entries
    ]
    return sorted(all_, key=lambda each: each.entry.name)
