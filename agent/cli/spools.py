"""What the commands of `spool` share: the agent's own spool, those of the host's clients, and what lies there."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ..deliver import clients
from ..deliver.route import Route
from ..health import Health

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    count = (health or Health(os.path.join(where.state, "run"), where.config)).count
    dsn = where.sentry["dsn"]
    return [
        Place(where.spool(), Route(dsn) if dsn else None),
        *(
            Place(each.spool, each.route, each.name, each.where)
            for each in clients.find(where.spool_settings, where.state, count)
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


_NAMES = {
    "error": ("event", "events"),
    "transaction": ("transaction", "transactions"),
    "session": ("batch of sessions", "batches of sessions"),
    "trace_metric": ("batch of metrics", "batches of metrics"),
    "monitor": ("check-in", "check-ins"),
}


def counted(entries: Iterable[Entry]) -> str:
    """3 events, 1 batch of metrics"""
    numbers = Counter(_NAMES.get(entry.category, (f"envelope of {entry.category}",) * 2) for entry in entries)
    return ", ".join(f"{number} {one if number == 1 else many}" for (one, many), number in numbers.most_common())


def fate(entries: list[Entry]) -> list[str]:
    """What becomes of them. Where they lie decides that, not the DSN of whoever asks."""
    held = [entry for entry in entries if entry.held]
    parts = (
        ([entry for entry in entries if not entry.held], "to be delivered (python -m agent spool status)"),
        ([entry for entry in held if not entry.trying],
         "captured without a DSN and kept here (to send: python -m agent spool release)"),
        ([entry for entry in held if entry.trying], "of an attempt that may be repeated, until it has ended"),
    )  # fmt: skip
    if len(entries) == 1:
        return [words for some, words in parts if some]
    return [f"{counted(some)} {words}" for some, words in parts if some]
